"""A page that describes the routes. FastAPI's own loads its scripts from the Internet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any


def render_docs(spec: Mapping[str, Any]) -> str:
    """Return an OpenAPI description as an HTML page without scripts."""
    schemas = spec["components"]["schemas"]
    routes = "".join(
        _route(method, path, operation, schemas)
        for path, operations in spec["paths"].items()
        for method, operation in operations.items()
    )
    title = f"{escape(spec['info']['title'])} {escape(spec['info']['version'])}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title}</title></head><body>"
        f'<h1>{title}</h1><p><a href="spec">OpenAPI description</a></p>{routes}</body></html>'
    )


def _route(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    parts = [f"<h2>{method.upper()} {escape(path)}</h2>"]
    parts.append(f"<p>{escape(operation.get('description', ''))}</p>")
    if body:
        parts.append(f"<p>Body: {escape(', '.join(body))}</p>")
        parts.append(_fields(next(iter(body.values()))["schema"], schemas))
    for status, answer in operation.get("responses", {}).items():
        parts.append(f"<p>{escape(status)}: {escape(answer.get('description', ''))}</p>")
        content = answer.get("content", {}).get("application/json", {})
        if status.startswith("2") and content:
            parts.append(_fields(content["schema"], schemas))
    return "".join(parts)


def _fields(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """Return a description of JSON as text."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    text = json.dumps(schemas.get(name, schema), indent=2, ensure_ascii=False)
    return f"<pre>{escape(text)}</pre>"
