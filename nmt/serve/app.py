"""The routes of the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, File, Form, Request, UploadFile
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, HTMLResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles

from nmt.serve import schema
from nmt.serve.body import read_body
from nmt.serve.desk import Desk, desk_of
from nmt.serve.docs import render_docs
from nmt.serve.errors import Refusal, WorkerDied
from nmt.serve.failures import answer_errors
from nmt.serve.names import language_name
from nmt.serve.openapi import REFUSALS, describe_bodies, json_or_form
from nmt.serve.pairs import Route
from nmt.serve.service import Part, Service, Translated, Wanted, character_spans
from nmt.serve.settings import Settings
from nmt.version import __version__

PAGE = Path(__file__).parent / "page"
_NUM_WORDS = 8
router = APIRouter(responses=REFUSALS)


@router.post(
    "/translate",
    response_model_exclude_none=True,
    openapi_extra=json_or_form(schema.TranslateRequest),
)
async def translate(request: Request) -> schema.TranslateAnswer:
    """Translate a text, or a list of them."""
    asked, desk = await read_body(request, schema.TranslateRequest), desk_of(request)
    client, service = desk.admit(request, asked.api_key), desk.service
    texts = [asked.q] if isinstance(asked.q, str) else asked.q
    desk.check_size(texts)
    lang, route, detected = await service.languages(asked.source, asked.target, "\n".join(texts))
    wanted = _wanted(asked, client, service.settings, lang, route)
    wanted = wanted._replace(nbest=1 + (asked.alternatives or 0), aligns=asked.alignment)
    documents = await service.documents(wanted, texts, asked.format)
    done = await desk.finish(request, service.translate(wanted, documents))
    answer: dict[str, list[Any]] = {"translatedText": [each.text() for each in done]}
    if asked.alternatives:
        answer["alternatives"] = [_alternatives(each) for each in done]
    if asked.alignment:
        answer["segments"] = [_segments(each, is_checked=bool(wanted.guard)) for each in done]
    if wanted.guard:
        answer |= _verdicts(done)
    if detected:
        answer["detectedLanguage"] = [detected._asdict() for _ in done]
    if isinstance(asked.q, str):
        return schema.TranslateAnswer(**{key: values[0] for key, values in answer.items()})
    return schema.TranslateAnswer(**answer)


def _wanted(
    asked: schema.StreamRequest, client: str, settings: Settings, lang: str, route: Route
) -> Wanted:
    glossary: tuple[tuple[str, ...], ...] = tuple(map(tuple, asked.glossary))
    guard = asked.guard or settings.guard
    return Wanted(client, lang, route, glossary=glossary, guard=guard)


def _verdicts(done: Sequence[Translated]) -> dict[str, list[Any]]:
    """Return what the guard says about each text; no confidence if no model is calibrated."""
    verdicts = [each.verdict for each in done]
    found: dict[str, list[Any]] = {"flags": [list(each.flags) for each in verdicts]}
    confidence = [each.confidence for each in verdicts]
    return found if set(confidence) <= {None} else {**found, "confidence": confidence}


def _alternatives(done: Translated) -> list[str]:
    """Return the translations other than the best, without repetitions."""
    texts = [done.text(place) for place in range(done.num_texts)]
    return [text for text in dict.fromkeys(texts) if text != texts[0]]


def _segments(done: Translated, *, is_checked: bool) -> list[schema.Segment]:
    return [
        schema.Segment(
            src=src,
            tgt=each.texts[0],
            alignment=character_spans(src, each.texts[0], each.links),
            flags=list(each.flags) if is_checked else None,
            confidence=each.confidence,
        )
        for src, each in zip(done.document.segments, done.found, strict=True)
    ]


@router.post(
    "/translate_stream",
    openapi_extra=json_or_form(schema.StreamRequest),
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events."}},
)
async def translate_stream(request: Request) -> StreamingResponse:
    """Translate a text, and send each segment as an event as soon as it is translated.

    An event is `{"translatedText": "…"}`; under guard, it also has `flags`, and `confidence` if
    the model is calibrated. Together these texts are the translation, line ends included. The last
    event is `end`, or `error` with `{"error": "…"}`.
    """
    asked, desk = await read_body(request, schema.StreamRequest), desk_of(request)
    client, service = desk.admit(request, asked.api_key), desk.service
    desk.check_size([asked.q])
    lang, route, _ = await service.languages(asked.source, asked.target, asked.q)
    wanted = _wanted(asked, client, service.settings, lang, route)
    [document] = await service.documents(wanted, [asked.q], asked.format)
    events = _events(
        service.stream(wanted, document), service.settings.timeout, is_checked=bool(wanted.guard)
    )
    return StreamingResponse(events, media_type="text/event-stream")


async def _events(
    parts: AsyncIterator[Part], timeout: float, *, is_checked: bool
) -> AsyncIterator[str]:
    end = asyncio.get_running_loop().time() + timeout
    try:
        while True:
            left = end - asyncio.get_running_loop().time()
            text, found = await asyncio.wait_for(anext(parts), left)
            event: dict[str, Any] = {"translatedText": text}
            if is_checked:
                event["flags"] = found.flags
            if found.confidence is not None:
                event["confidence"] = found.confidence
            yield f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
    except StopAsyncIteration:
        yield "event: end\ndata: {}\n\n"
    except asyncio.TimeoutError:
        error = json.dumps({"error": f"not done within {timeout:g} seconds"})
        yield f"event: error\ndata: {error}\n\n"
    except (Refusal, WorkerDied) as refusal:
        yield f"event: error\ndata: {json.dumps({'error': str(refusal)})}\n\n"


@router.post("/alternatives", openapi_extra=json_or_form(schema.AlternativesRequest))
async def alternatives(request: Request) -> schema.AlternativesAnswer:
    """Return the likeliest next words of a translation that has begun."""
    asked, desk = await read_body(request, schema.AlternativesRequest), desk_of(request)
    client, service = desk.admit(request, asked.api_key), desk.service
    desk.check_size([asked.q, asked.prefix])
    route = service.pairs.route(asked.source, asked.target)
    work = service.next_words(client, route, asked.q, asked.prefix, _NUM_WORDS)
    words = [schema.NextWord(**vars(each)) for each in await desk.finish(request, work)]
    return schema.AlternativesAnswer(alternatives=words)


@router.post("/detect", openapi_extra=json_or_form(schema.DetectRequest))
async def detect(request: Request) -> list[schema.Detected]:
    """Return the likely languages of a text, the likeliest first."""
    asked, desk = await read_body(request, schema.DetectRequest), desk_of(request)
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
    desk = desk_of(request)
    client, name = desk.admit(request, api_key), file.filename or ""
    if not name.lower().endswith(".txt"):
        raise Refusal(400, "file: its name must end in .txt")
    content = await file.read()
    lang, route, _ = await desk.service.languages(
        source, target, content[:4000].decode(errors="ignore")
    )
    wanted = Wanted(client, lang, route, guard=desk.service.settings.guard)
    work = desk.service.translate_file(wanted, content)
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
    if not (file := desk_of(request).files.find(name)):
        raise Refusal(404, "there is no such file, or not any more")
    headers = {"content-disposition": f'attachment; filename="{file.name}"'}
    return Response(file.content, media_type="text/plain", headers=headers)


@router.get("/languages")
async def languages(request: Request) -> list[schema.Language]:
    """Return the languages, and those that each can be translated into."""
    pairs = desk_of(request).service.pairs
    return [
        schema.Language(code=code, name=language_name(code), targets=pairs.targets(code))
        for code in pairs.languages
    ]


@router.get("/frontend/settings")
async def frontend_settings(request: Request) -> schema.FrontendSettings:
    """Return what a page has to know."""
    desk = desk_of(request)
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
    figures = desk_of(request).service.metrics
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
    app.state.desk = Desk(service)
    app.include_router(router)
    if PAGE.is_dir():
        app.mount("/page", StaticFiles(directory=PAGE))
    describe_bodies(app, service.pairs)
    answer_errors(app)
    return app
