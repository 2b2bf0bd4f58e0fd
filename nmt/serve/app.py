"""The routes of the server."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, FastAPI, File, Form, Request, UploadFile
from fastapi.datastructures import FormData
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError

from nmt.serve import schema
from nmt.serve.docs import render_docs
from nmt.serve.errors import Refusal, WorkerDied
from nmt.serve.files import TranslatedFiles
from nmt.serve.keys import Keys, RateLimiter
from nmt.serve.names import language_name
from nmt.serve.pairs import Pairs
from nmt.serve.service import Service, Translated, Wanted, character_spans
from nmt.version import __version__

T = TypeVar("T")
R = TypeVar("R", bound=BaseModel)

PAGE = Path(__file__).parent / "page"
_NUM_WORDS = 8
_JSON_ONLY = {"alignment", "glossary"}
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": schema.Error, "description": text}
    for status, text in {
        400: "The request is wrong.",
        403: "The API key is wrong, or the service is not offered.",
        408: "The body took too long.",
        413: "The body is too large.",
        429: "Too many requests; Retry-After says when to try again.",
        500: "The server failed.",
        503: "The server is stopping.",
        504: "The translation took too long.",
    }.items()
}
router = APIRouter(responses=_REFUSALS)


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a body that is JSON or a form."""
    content = {
        kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}
        for kind, name in (
            ("application/json", model.__name__),
            ("application/x-www-form-urlencoded", f"{model.__name__}Form"),
        )
    }
    return {"requestBody": {"required": True, "content": content}}


async def _read(request: Request, model: type[R]) -> R:
    """Return the body of a request.

    Raises:
        Refusal: if it is neither valid JSON nor a form, or does not fit the model.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind in ("application/x-www-form-urlencoded", "multipart/form-data"):
            return model.model_validate(_fields(await request.form()))
        return model.model_validate_json(await request.body(), strict=True)
    except ValidationError as error:
        raise Refusal(400, _explain(error.errors())) from error


def _fields(form: FormData) -> dict[str, Any]:
    """Return the fields of a form.

    Raises:
        Refusal: if one is there twice, or is possible in JSON only.
    """
    for key in form:
        if key in _JSON_ONLY:
            raise Refusal(400, f"{key}: only in JSON")
        if len(form.getlist(key)) > 1:
            raise Refusal(400, f"{key:.40}: more than once; a list is possible in JSON")
    return dict(form)


def _explain(errors: Any) -> str:
    """Return what is wrong with a request, in one line."""
    error = errors[0]
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where:.40}: this server has no such parameter; /docs lists them"
    return f"{where}: {error['msg']}" if where else str(error["msg"])


class _Desk:
    """What the routes need besides the service: keys, rates, files."""

    def __init__(self, service: Service) -> None:
        self.service = service
        settings = service.settings
        self.keys = Keys(settings.api_keys) if settings.api_keys else None
        self.rates = RateLimiter()
        self.files = TranslatedFiles()

    def admit(self, request: Request, api_key: str) -> str:
        """Count a request, and return the name of its client: that of its key, or its address.

        Raises:
            Refusal: if the key is wrong, or the client has made too many requests.
        """
        client = request.client.host if request.client else ""
        per_minute = self.service.settings.rate_limit
        if self.keys:
            if not (key := self.keys.find(api_key)):
                raise Refusal(403, "api_key: a valid one is needed")
            client, per_minute = f"key {key.id}", key.per_minute or per_minute
        if per_minute and (seconds := self.rates.wait(client, per_minute)):
            message = f"more than {per_minute} requests per minute"
            raise Refusal(429, message, math.ceil(seconds))
        return client

    def check_size(self, texts: list[str]) -> None:
        """Raise a Refusal if a request has too many strings or characters."""
        settings = self.service.settings
        if len(texts) > settings.batch_limit:
            raise Refusal(400, f"q: {len(texts)} strings, but at most {settings.batch_limit}")
        if (size := sum(map(len, texts))) > settings.char_limit:
            raise Refusal(400, f"q: {size} characters, but at most {settings.char_limit}")

    async def finish(self, request: Request, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of work, which ends if it takes too long or the client goes away.

        Raises:
            Refusal: if it takes too long.
        """
        task = asyncio.create_task(work)
        gone = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait(
                (task, gone),
                timeout=self.service.settings.timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if task.done():
                return task.result()
            if gone.done():
                raise Refusal(400, "the client is gone")
            raise Refusal(504, f"not done within {self.service.settings.timeout:g} seconds")
        finally:
            task.cancel()
            gone.cancel()


async def _disconnected(request: Request) -> None:
    """Wait until the client goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _desk(request: Request) -> _Desk:
    return cast(_Desk, request.app.state.desk)


@router.post(
    "/translate",
    response_model_exclude_none=True,
    openapi_extra=_body(schema.TranslateRequest),
)
async def translate(request: Request) -> schema.TranslateAnswer:
    """Translate a text, or a list of them."""
    asked, desk = await _read(request, schema.TranslateRequest), _desk(request)
    client, service = desk.admit(request, asked.api_key), desk.service
    texts = [asked.q] if isinstance(asked.q, str) else asked.q
    desk.check_size(texts)
    route, detected = await service.languages(asked.source, asked.target, "\n".join(texts))
    wanted = Wanted(client, route, 1 + asked.alternatives, asked.alignment, _glossary(asked))
    documents = [service.document(text, asked.format) for text in texts]
    done = await desk.finish(request, service.translate(wanted, documents))
    answer: dict[str, list[Any]] = {"translatedText": [each.text() for each in done]}
    if asked.alternatives:
        answer["alternatives"] = [_alternatives(each) for each in done]
    if asked.alignment:
        answer["segments"] = [_segments(each) for each in done]
    if detected:
        answer["detectedLanguage"] = [detected._asdict() for _ in done]
    if isinstance(asked.q, str):
        return schema.TranslateAnswer(**{key: values[0] for key, values in answer.items()})
    return schema.TranslateAnswer(**answer)


def _glossary(asked: schema.StreamRequest) -> tuple[tuple[str, ...], ...]:
    return tuple(map(tuple, asked.glossary))


def _alternatives(done: Translated) -> list[str]:
    """Return the translations other than the best, without repetitions."""
    texts = [done.text(place) for place in range(done.num_texts)]
    return [text for text in dict.fromkeys(texts) if text != texts[0]]


def _segments(done: Translated) -> list[schema.Segment]:
    return [
        schema.Segment(
            src=src, tgt=each.texts[0], alignment=character_spans(src, each.texts[0], each.links)
        )
        for src, each in zip(done.document.segments, done.found, strict=True)
    ]


@router.post(
    "/translate_stream",
    openapi_extra=_body(schema.StreamRequest),
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events."}},
)
async def translate_stream(request: Request) -> StreamingResponse:
    """Translate a text, and send each segment as an event as soon as it is translated.

    An event is `{"translatedText": "…"}`. Together these texts are the translation, line ends
    included. The last event is `end`, or `error` with `{"error": "…"}`.
    """
    asked, desk = await _read(request, schema.StreamRequest), _desk(request)
    client, service = desk.admit(request, asked.api_key), desk.service
    desk.check_size([asked.q])
    route, _ = await service.languages(asked.source, asked.target, asked.q)
    wanted = Wanted(client, route, glossary=_glossary(asked))
    parts = service.stream(wanted, service.document(asked.q, asked.format))
    events = _events(parts, service.settings.timeout)
    return StreamingResponse(events, media_type="text/event-stream")


async def _events(parts: AsyncIterator[str], timeout: float) -> AsyncIterator[str]:
    end = asyncio.get_running_loop().time() + timeout
    try:
        while True:
            left = end - asyncio.get_running_loop().time()
            text = await asyncio.wait_for(anext(parts), left)
            yield f"data: {json.dumps({'translatedText': text}, ensure_ascii=False)}\n\n"
    except StopAsyncIteration:
        yield "event: end\ndata: {}\n\n"
    except asyncio.TimeoutError:
        error = json.dumps({"error": f"not done within {timeout:g} seconds"})
        yield f"event: error\ndata: {error}\n\n"
    except (Refusal, WorkerDied) as refusal:
        yield f"event: error\ndata: {json.dumps({'error': str(refusal)})}\n\n"


@router.post("/alternatives", openapi_extra=_body(schema.AlternativesRequest))
async def alternatives(request: Request) -> schema.AlternativesAnswer:
    """Return the likeliest next words of a translation that has begun."""
    asked, desk = await _read(request, schema.AlternativesRequest), _desk(request)
    client, service = desk.admit(request, asked.api_key), desk.service
    desk.check_size([asked.q, asked.prefix])
    route = service.pairs.route(asked.source, asked.target)
    work = service.next_words(client, route, asked.q, asked.prefix, _NUM_WORDS)
    words = [schema.NextWord(**vars(each)) for each in await desk.finish(request, work)]
    return schema.AlternativesAnswer(alternatives=words)


@router.post("/detect", openapi_extra=_body(schema.DetectRequest))
async def detect(request: Request) -> list[schema.Detected]:
    """Return the likely languages of a text, the likeliest first."""
    asked, desk = await _read(request, schema.DetectRequest), _desk(request)
    desk.admit(request, asked.api_key)
    desk.check_size([asked.q])
    found = await desk.service.detect(asked.q)
    return [schema.Detected(**each._asdict()) for each in found]


@router.post("/translate_file")
async def translate_file(
    request: Request,
    file: Annotated[UploadFile, File()],
    source: Annotated[str, Form()],
    target: Annotated[str, Form()],
    api_key: Annotated[str, Form()] = "",
) -> schema.TranslateFileAnswer:
    """Translate a text file; the answer says where the translation can be downloaded."""
    desk = _desk(request)
    client, name = desk.admit(request, api_key), file.filename or ""
    if not name.lower().endswith(".txt"):
        raise Refusal(400, "file: its name must end in .txt")
    content = await file.read()
    route, _ = await desk.service.languages(source, target, content[:4000].decode(errors="ignore"))
    work = desk.service.translate_file(Wanted(client, route), content)
    key = desk.files.add(name, target, await desk.finish(request, work))
    url = request.url_for("download_file", name=key)
    return schema.TranslateFileAnswer(translatedFileUrl=str(url))


@router.get(
    "/download_file/{name}",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {}}, "description": "The translation."},
        404: {"model": schema.Error, "description": "There is no such file, or not any more."},
    },
)
async def download_file(request: Request, name: str) -> Response:
    """Return a translated file."""
    if not (file := _desk(request).files.find(name)):
        raise Refusal(404, "there is no such file, or not any more")
    headers = {"content-disposition": f'attachment; filename="{file.name}"'}
    return Response(file.content, media_type="text/plain", headers=headers)


@router.get("/languages")
async def languages(request: Request) -> list[schema.Language]:
    """Return the languages, and those that each can be translated into."""
    pairs = _desk(request).service.pairs
    return [
        schema.Language(code=code, name=language_name(code), targets=pairs.targets(code))
        for code in pairs.languages
    ]


@router.get("/frontend/settings")
async def frontend_settings(request: Request) -> schema.FrontendSettings:
    """Return what a page has to know."""
    desk = _desk(request)
    target = desk.service.pairs.default.tgt
    has_keys = desk.keys is not None
    return schema.FrontendSettings(
        apiKeys=has_keys,
        charLimit=desk.service.settings.char_limit,
        frontendTimeout=500,
        keyRequired=has_keys,
        language=schema.DefaultLanguages(
            source=schema.NamedLanguage(code="auto", name="Auto Detect"),
            target=schema.NamedLanguage(code=target, name=language_name(target)),
        ),
        suggestions=False,
        supportedFilesFormat=[".txt"],
        filesTranslation=True,
    )


@router.post("/suggest", status_code=403)
async def suggest() -> schema.Error:
    """Refuse a suggestion: nobody would read it."""
    return schema.Error(error="this server does not take suggestions")


@router.get("/health")
async def health() -> schema.Health:
    """Answer, also while models compute."""
    return schema.Health(status="ok")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Figures."}},
)
async def metrics(request: Request) -> Response:
    """Return figures for Prometheus."""
    figures = _desk(request).service.metrics
    return Response(figures.render(), media_type=figures.content_type)


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Return a page that describes the routes."""
    return HTMLResponse(render_docs(request.app.openapi()))


@router.get("/", include_in_schema=False)
async def index() -> FileResponse:
    """Return the page."""
    if not (PAGE / "index.html").is_file():
        raise Refusal(404, "this server has no page; /docs describes its routes")
    return FileResponse(PAGE / "index.html")


def make_app(service: Service, **options: Any) -> FastAPI:
    """Return the application.

    Args:
        service: answers the requests.
        options: of FastAPI, such as `lifespan`.

    Raises:
        DataError, FileError: if the file of API keys cannot be used.
    """
    app = FastAPI(
        title="nmt",
        version=__version__,
        openapi_url="/spec",
        docs_url=None,
        redoc_url=None,
        **options,
    )
    if service.settings.allow_origin:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=service.settings.allow_origin,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
        )
    app.state.desk = _Desk(service)
    app.include_router(router)
    if PAGE.is_dir():
        app.mount("/page", StaticFiles(directory=PAGE))
    _describe_bodies(app)
    _answer_errors(app)
    return app


def _describe_bodies(app: FastAPI) -> None:
    """Add the bodies that the routes read themselves to the OpenAPI description."""
    describe, pairs = app.openapi, cast(_Desk, app.state.desk).service.pairs

    def openapi() -> dict[str, Any]:
        described = describe()
        schemas = described["components"]["schemas"]
        for model in (
            schema.TranslateRequest,
            schema.StreamRequest,
            schema.AlternativesRequest,
            schema.DetectRequest,
        ):
            described_body, form = _described_bodies(model, pairs)
            schemas |= {model.__name__: described_body, f"{model.__name__}Form": form}
        return described

    app.openapi = openapi  # type: ignore[method-assign]


def _described_bodies(model: type[BaseModel], pairs: Pairs) -> tuple[dict[str, Any], ...]:
    """Return the description of a body as JSON, with the server's languages, and as a form."""
    described = model.model_json_schema()
    fields = described["properties"]
    if "source" in fields:
        auto = [] if model is schema.AlternativesRequest else ["auto"]
        fields["source"]["enum"] = [*pairs.sources, *auto]
        fields["target"]["enum"] = list(dict.fromkeys(pair.tgt for pair in pairs))
    form = dict(described)
    form["properties"] = {k: v for k, v in fields.items() if k not in _JSON_ONLY}
    form["properties"]["q"] = {"type": "string"}
    return described, form


def _answer_errors(app: FastAPI) -> None:
    """Make every error `{"error": "…"}`."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
        return JSONResponse({"error": error.message}, error.status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": _explain(error.errors())}, 400)

    @app.exception_handler(FormParserError)  # newer versions of FastAPI do this themselves
    async def malformed(request: Request, error: FormParserError) -> JSONResponse:
        return JSONResponse({"error": "the form is malformed"}, 400)

    @app.exception_handler(WorkerDied)
    async def failed(request: Request, error: WorkerDied) -> JSONResponse:
        message = "the process that translated was killed, twice"
        return JSONResponse({"error": message}, 500)

    async def by_status(request: Request, error: Any) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    for status in (400, 404, 405):  # of FastAPI itself
        app.add_exception_handler(status, by_status)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "the server failed; its log says why"}, 500)
