"""The OpenAPI description, as far as FastAPI cannot derive it."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from nmt.serve import schema
from nmt.serve.body import JSON_ONLY
from nmt.serve.pairs import Pairs

REFUSALS: dict[int | str, dict[str, Any]] = {
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


def json_or_form(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of a body that is JSON or a form."""
    content = {
        kind: {"schema": {"$ref": f"#/components/schemas/{name}"}}
        for kind, name in (
            ("application/json", model.__name__),
            ("application/x-www-form-urlencoded", f"{model.__name__}Form"),
        )
    }
    return {"requestBody": {"required": True, "content": content}}


def describe_bodies(app: FastAPI, pairs: Pairs) -> None:
    """Add the bodies that the routes read themselves to the OpenAPI description."""
    describe = app.openapi

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
    form["properties"] = {
        name: field.get("anyOf", [field])[0]  # a form has no null
        for name, field in fields.items()
        if name not in JSON_ONLY
    }
    form["properties"]["q"] = {"type": "string"}
    return described, form
