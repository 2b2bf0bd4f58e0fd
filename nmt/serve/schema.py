"""Requests and answers: LibreTranslate's, and what nmt adds to them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from nmt.data.lines import replace_controls
from nmt.serve.settings import MAX_ALTERNATIVES, MAX_GLOSSARY
from nmt.translate.guard.guard import GuardMode

Code = Annotated[str, StringConstraints(min_length=1, max_length=40)]
Term = Annotated[str, Field(pattern=r"[^\s\x00-\x1f\x7f]")]  # not blank
Row = Annotated[list[Term], Field(min_length=2, max_length=20)]
Span = tuple[int, int]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")

    # Clients of LibreTranslate send null for what they leave out.
    api_key: str | None = None
    secret: str | None = None
    """Sent by LibreTranslate's own page; ignored."""


class StreamRequest(_Request):
    """A text to translate."""

    q: str
    source: Code
    """Or `auto`."""
    target: Code
    format: Literal["text", "html"] | None = None
    """`text` by default."""
    glossary: list[Row] = Field(default=[], max_length=MAX_GLOSSARY)
    """Source term, target term, and further forms of it."""
    guard: GuardMode | None = None
    """Check the translation, and also search again or leave bad sentences blank; by default as the
    server does."""

    @field_validator("glossary")
    @classmethod
    def _clean(cls, rows: list[list[str]]) -> list[list[str]]:
        return [[replace_controls(term)[0].strip() for term in row] for row in rows]


class TranslateRequest(StreamRequest):
    """A text, or several, to translate."""

    q: str | list[str]  # type: ignore[assignment]
    alternatives: Annotated[int, Field(ge=0, le=MAX_ALTERNATIVES)] | None = None
    """How many more translations."""
    alignment: bool = False
    """Which words are translations of each other."""

    @field_validator("alternatives", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        """Return 2 for 2.0, which is the same number in JSON."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


class DetectRequest(_Request):
    """A text of an unknown language."""

    q: str


class AlternativesRequest(_Request):
    """A sentence whose translation has begun."""

    q: str
    source: Code
    target: Code
    prefix: str = ""
    """How it begins."""


class Detected(BaseModel):
    """A likely language."""

    confidence: float
    language: str


class Segment(BaseModel):
    """What was translated as one piece."""

    src: str
    tgt: str
    alignment: list[tuple[Span, Span]]
    """Spans of characters (start, end) of `src` and `tgt`."""
    flags: list[str] | None = None
    """Why `tgt` may be bad, if it was checked."""
    confidence: float | None = None
    """The probability that `tgt` is acceptable, if it was checked and the model is calibrated."""


class TranslateAnswer(BaseModel):
    """A translation, or a list of them if `q` is a list."""

    translatedText: str | list[str]
    alternatives: list[str] | list[list[str]] | None = None
    detectedLanguage: Detected | list[Detected] | None = None
    segments: list[Segment] | list[list[Segment]] | None = None
    flags: list[str] | list[list[str]] | None = None
    """Why a translation may be bad, if it was checked: the flags of all its segments."""
    confidence: float | list[float | None] | None = None
    """The lowest confidence in a segment, if it was checked and the model is calibrated."""


class NextWord(BaseModel):
    """A word that may come next."""

    word: str
    probability: float
    text: str
    start: int


class AlternativesAnswer(BaseModel):
    """Words that may come next, the likeliest first."""

    alternatives: list[NextWord]


class Language(BaseModel):
    """A language, and those that it can be translated into."""

    code: str
    name: str
    targets: list[str]


class NamedLanguage(BaseModel):
    """A language."""

    code: str
    name: str


class DefaultLanguages(BaseModel):
    """What a page offers first."""

    source: NamedLanguage
    target: NamedLanguage


class FrontendSettings(BaseModel):
    """What a page has to know."""

    apiKeys: bool
    charLimit: int
    frontendTimeout: int
    keyRequired: bool
    language: DefaultLanguages
    suggestions: bool
    supportedFilesFormat: list[str]
    filesTranslation: bool


class TranslateFileAnswer(BaseModel):
    """Where the translation is, for some minutes."""

    translatedFileUrl: str


class Health(BaseModel):
    """Whether the server works."""

    status: str


class Error(BaseModel):
    """Why a request is refused."""

    error: str
