"""Bodies of requests: JSON, or forms as LibreTranslate takes them."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from fastapi.datastructures import FormData
from pydantic import BaseModel, ValidationError

from nmt.serve.errors import Refusal

R = TypeVar("R", bound=BaseModel)

JSON_ONLY = {"alignment", "glossary"}
_MAX_ERRORS = 1000
"""To list a million takes seconds."""


async def read_body(request: Request, model: type[R]) -> R:
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
        if error.error_count() > _MAX_ERRORS:
            raise Refusal(400, "this is not a body as /docs describes it") from error
        raise Refusal(400, explain(error.errors())) from error


def _fields(form: FormData) -> dict[str, Any]:
    """Return the fields of a form.

    Raises:
        Refusal: if one is there twice, or is possible in JSON only.
    """
    for key in form:
        if key in JSON_ONLY:
            raise Refusal(400, f"{key}: only in JSON")
        if len(form.getlist(key)) > 1:
            raise Refusal(400, f"{key:.40}: more than once; a list is possible in JSON")
    return dict(form)


def explain(errors: Any) -> str:
    """Return what is wrong with a request, in one line."""
    error = errors[0]
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{where:.40}: this server has no such parameter; /docs lists them"
    return f"{where}: {error['msg']}" if where else str(error["msg"])
