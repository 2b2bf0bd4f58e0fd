"""The corpora of a configuration: one section per kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from nmt.config.section import Section, Weight

MAX_COLUMN = 10**6
SET_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,31}"
"""The name of a set of corpora."""


class Corpus(Section):
    """The keys that all kinds of corpora share."""

    kind: str
    """The kind of corpus. Optional: the other keys imply it."""
    weight: Weight = 1.0
    """How often an epoch visits each pair: 2 visits it twice; 0.5 visits a random half of the
    corpus, drawn again each epoch. Only training uses it."""
    src_lang: str | None = None
    """Code of its source language. Default: `data.src_lang`."""
    tgt_lang: str | None = None
    """Code of its target language. Default: `data.tgt_lang`."""
    reversed: bool = False
    """Use it in the other direction: once read, its sides and their languages are swapped."""
    set: Annotated[str, Field(pattern=f"^{SET_NAME}$")] | None = None
    """Name of its set, for `train.stages`; the key of the set in `data.train: {NAME: CORPUS}`."""
    tag: Annotated[str, Field(pattern=f"^{SET_NAME}$")] | None = None
    """Put the symbol `<TAG>` in front of its sources, which tells the model where they come from:
    `bt` for back-translations (Caswell et al. 2019). Only for training; translation has no tag."""
    alignments: str | None = None
    """A file with the links of each pair as `0-0 1-2`: source and target word, from 0, where words
    are separated by white space only. Line n is about pair n. For `train.guided_alignment`."""


class FilesCorpus(Corpus):
    """Two text files with one sentence per line; line n of one translates line n of the other."""

    kind: Literal["files"] = "files"
    """The kind of corpus. Optional: `src` and `tgt` imply it."""
    src: str
    """Source side: a UTF-8 text file, plain or .gz. Paths are relative to the current directory."""
    tgt: str
    """Target side: a UTF-8 text file, plain or .gz, with as many lines as the source side."""


def _check_column(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Replace pydantic's errors, one per member of the union, by one."""
    try:
        return validate(value)
    except ValidationError:
        raise ValueError(
            f"must be a column number from 0 to {MAX_COLUMN}, or a name in the first line"
        ) from None


Column = Annotated[Annotated[int, Field(ge=0, le=MAX_COLUMN)] | str, WrapValidator(_check_column)]


class TsvCorpus(Corpus):
    """One text file with tab-separated columns."""

    kind: Literal["tsv"] = "tsv"
    """The kind of corpus. Optional: `tsv` implies it."""
    tsv: str
    """A UTF-8 file, plain or .gz, with one pair per line and no quoting."""
    src_column: Column = 0
    """Source column: its number, counted from 0, or its name in the first line."""
    tgt_column: Column = 1
    """Target column: its number, counted from 0, or its name in the first line."""


class RecordsCorpus(Corpus):
    """The keys that select the sentences of a record."""

    src_key: str | None = None
    """Key of the source sentence; dots join nested keys (`translation.en`). Default: the
    code of the source language."""
    tgt_key: str | None = None
    """Key of the target sentence. Default: the code of the target language."""


class JsonlCorpus(RecordsCorpus):
    """A file with one JSON object per line."""

    kind: Literal["jsonl"] = "jsonl"
    """The kind of corpus. Optional: `jsonl` implies it."""
    jsonl: str
    """A UTF-8 file, plain or .gz."""


class ParquetCorpus(RecordsCorpus):
    """A Parquet file; the keys are its columns and the fields of structs."""

    kind: Literal["parquet"] = "parquet"
    """The kind of corpus. Optional: `parquet` implies it."""
    parquet: str
    """The file."""


class DatasetCorpus(RecordsCorpus):
    """A dataset that the `datasets` library can load, from the Hugging Face Hub or from disk."""

    kind: Literal["dataset"] = "dataset"
    """The kind of corpus. Optional: `dataset` implies it."""
    dataset: str
    """Its name on the Hub (`bentrevett/multi30k`), or a local directory."""
    name: str | None = None
    """The configuration of the dataset, if it has several (`de-en`)."""
    split: str = "train"
    """The split, which may be a slice such as `train[:10%]`."""


class DemoCorpus(Corpus):
    """The built-in English-German phrasebook, which needs neither files nor network."""

    kind: Literal["demo"] = "demo"
    """The kind of corpus. Optional: `demo` implies it."""
    demo: Literal["train", "valid", "test"]
    """The part of the phrasebook."""


class TextCorpus(Corpus):
    """Text in one language, for `train.objective: denoise`."""

    kind: Literal["text"] = "text"
    """The kind of corpus. Optional: `text` implies it."""
    text: str
    """A UTF-8 text file with one sentence per line, plain or .gz."""
    lang: str
    """Code of its language."""

    def _conflicts(self) -> Iterator[str]:
        if self.src_lang or self.tgt_lang or self.reversed or self.alignments:
            yield "src_lang, tgt_lang, reversed and alignments are for pairs: text has lang only"


CORPORA: dict[str, type[Corpus]] = {
    "files": FilesCorpus,
    "tsv": TsvCorpus,
    "jsonl": JsonlCorpus,
    "parquet": ParquetCorpus,
    "dataset": DatasetCorpus,
    "demo": DemoCorpus,
    "text": TextCorpus,
}
"""The section of a corpus by its key `kind`."""


def _add_kind(value: Any) -> Any:
    """Add the kind that the keys of a corpus imply."""
    if isinstance(value, dict) and "kind" not in value:
        kinds = {"src": "files", "tgt": "files"} | {kind: kind for kind in CORPORA}
        kind = next((kind for key, kind in kinds.items() if key in value), None)
        value = {"kind": kind, **value} if kind else None
    if not isinstance(value, dict | Corpus):
        raise ValueError(
            "must be a corpus: {src, tgt}, {tsv}, {jsonl}, {parquet}, {dataset}, {demo} or {text}"
        )
    return value


def _add_brackets(value: Any) -> Any:
    """Put a single corpus into a list."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise ValueError("must be a corpus, such as {src: FILE, tgt: FILE}, or a list of them")
    return value


def _name_sets(value: Any) -> Any:
    """Turn named sets of corpora into a list of corpora that have the name as a key."""
    if not is_named(value):
        return value
    corpora = []
    for name, some in value.items():
        for corpus in some if isinstance(some, list) else [some]:
            corpora.append({**corpus, "set": name} if isinstance(corpus, dict) else corpus)
    return corpora


def is_named(value: Any) -> bool:
    """Tell named sets of corpora from a single corpus, whose keys have no sections and lists."""
    return isinstance(value, dict) and any(isinstance(v, dict | list) for v in value.values())


AnyCorpus = Annotated[
    FilesCorpus | TsvCorpus | JsonlCorpus | ParquetCorpus | DatasetCorpus | DemoCorpus | TextCorpus,
    Field(discriminator="kind"),
    BeforeValidator(_add_kind),
]

Corpora = Annotated[list[AnyCorpus], BeforeValidator(_add_brackets)]

TrainCorpora = Annotated[Corpora, BeforeValidator(_name_sets)]
