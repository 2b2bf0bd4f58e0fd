"""The corpora of a configuration, one section for each kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from nmt.config.section import Section

Column = Annotated[int, Field(ge=0, le=10**6)]


class Corpus(Section):
    """What every kind of corpus has."""

    weight: Annotated[float, Field(gt=0.0, le=1000.0)] = 1.0
    """How often an epoch visits each pair: 2 visits it twice, 0.5 visits a random half of
    the corpus, drawn anew each epoch. Only training looks at it."""


class FilesCorpus(Corpus):
    """Two text files, one sentence a line, line n of one translating line n of the other."""

    src: str
    """Source side: a UTF-8 text file, plain or .gz. Paths are relative to the current directory."""
    tgt: str
    """Target side: a UTF-8 text file, plain or .gz, with as many lines as the source side."""


class TsvCorpus(Corpus):
    """One text file with tab-separated columns."""

    tsv: str
    """A UTF-8 file, plain or .gz, one pair a line, no quoting."""
    src_column: Column | str = 0
    """Source column: its number, from 0, or its name in the first line."""
    tgt_column: Column | str = 1
    """Target column: its number, from 0, or its name in the first line."""


class JsonlCorpus(Corpus):
    """One JSON object a line."""

    jsonl: str
    """A UTF-8 file, plain or .gz."""
    src_key: str | None = None
    """Key of the source sentence, nested keys joined by dots (`translation.en`). Without it,
    `data.src_lang`."""
    tgt_key: str | None = None
    """Key of the target sentence. Without it, `data.tgt_lang`."""


class ParquetCorpus(Corpus):
    """A Parquet file."""

    parquet: str
    """The file."""
    src_key: str | None = None
    """Column of the source sentence, struct fields joined by dots. Without it, `data.src_lang`."""
    tgt_key: str | None = None
    """Column of the target sentence. Without it, `data.tgt_lang`."""


class DatasetCorpus(Corpus):
    """A dataset that the `datasets` library can load, from the Hugging Face Hub or from disk."""

    dataset: str
    """Its name on the Hub (`bentrevett/multi30k`), or a local directory."""
    name: str | None = None
    """The configuration of the dataset, for those that have several (`de-en`)."""
    split: str = "train"
    """The split; slices such as `train[:10%]` work."""
    src_key: str | None = None
    """Key of the source sentence, nested keys joined by dots (`translation.en`). Without it,
    `data.src_lang`."""
    tgt_key: str | None = None
    """Key of the target sentence. Without it, `data.tgt_lang`."""


class DemoCorpus(Corpus):
    """The built-in English-German phrasebook: a grammar, needing neither files nor network."""

    demo: Literal["train", "valid", "test"]
    """Which part of it."""


CORPUS_KINDS = {
    "src": "files",
    "tgt": "files",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "parquet": "parquet",
    "dataset": "dataset",
    "demo": "demo",
}
"""The keys that tell the kind of a corpus."""


def _corpus_kind(value: Any) -> str | None:
    """Name the kind of a corpus by the first key that tells it."""
    keys = value if isinstance(value, dict) else vars(value) if isinstance(value, Corpus) else ()
    return next((kind for key, kind in CORPUS_KINDS.items() if key in keys), None)


AnyCorpus = Annotated[
    Annotated[FilesCorpus, Tag("files")]
    | Annotated[TsvCorpus, Tag("tsv")]
    | Annotated[JsonlCorpus, Tag("jsonl")]
    | Annotated[ParquetCorpus, Tag("parquet")]
    | Annotated[DatasetCorpus, Tag("dataset")]
    | Annotated[DemoCorpus, Tag("demo")],
    Discriminator(
        _corpus_kind,
        custom_error_type="corpus_kind",
        custom_error_message=(
            "a corpus is one of {src, tgt}, {tsv}, {jsonl}, {parquet}, {dataset}, {demo}"
        ),
    ),
]

# One corpus may stand without the brackets of a list.
Corpora = Annotated[
    list[AnyCorpus], BeforeValidator(lambda value: [value] if isinstance(value, dict) else value)
]
