"""A plain server, as one writes it in an hour: FastAPI and CTranslate2, no shared batches.

usage: plain_server.py REQUEST PORT, with the request of the CTranslate2 worker as JSON
"""

from __future__ import annotations

import json
import sys

import uvicorn
from ctranslate2_worker import System
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
system = System(json.loads(sys.argv[1]))


class Request(BaseModel):
    """LibreTranslate's, without the languages: there is only one pair."""

    q: str


@app.post("/translate")
def translate(request: Request) -> dict[str, str]:
    """Translate a line. FastAPI calls this in threads; CTranslate2 runs `inter_threads` at once."""
    return {"translatedText": system.translate([request.q], 1)[0]}


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
