"""Answers to requests that fail."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from python_multipart.exceptions import FormParserError

from nmt.serve.body import explain
from nmt.serve.errors import Refusal, WorkerDied


def answer_errors(app: FastAPI) -> None:
    """Make every error `{"error": "…"}`."""

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> JSONResponse:
        headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
        return JSONResponse({"error": error.message}, error.status, headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": explain(error.errors())}, 400)

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
