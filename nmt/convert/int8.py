"""What int8 costs in BLEU, which decides whether a run translates in int8 by default."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path

from pydantic import BaseModel, ValidationError

from nmt.config.schema import Config
from nmt.config.search import search_options
from nmt.convert.cached import converted
from nmt.data.corpus import read_pairs
from nmt.errors import ConfigError, FileError
from nmt.files import MAX_JSON_BYTES, read_bounded, write_text
from nmt.runs.exported import cannot_represent
from nmt.runs.manifest import read_manifest
from nmt.translate.ct2_engine import CTranslate2Engine
from nmt.translate.translator import Translator

MAX_LOSS = 0.1
"""In BLEU on the validation set; a larger loss makes float32 the default."""


class Int8Scores(BaseModel):
    """BLEU on the validation set in float32 and int8, with the same search.

    Attributes:
        weights: SHA-256 of the weights that were measured.
        sentences: number of sentences translated.
    """

    weights: str
    sentences: int
    float32: float
    int8: float

    @property
    def is_good(self) -> bool:
        """Whether int8 costs at most MAX_LOSS."""
        return self.float32 - self.int8 <= MAX_LOSS

    def __str__(self) -> str:
        verdict = "int8 by default" if self.is_good else "float32 by default"
        return (
            f"BLEU of {self.sentences:,} validation sentences {self.float32:.2f} in float32, "
            f"{self.int8:.2f} in int8: {verdict} on a CPU"
        )


def read_int8_scores(run: Path, weights: Path) -> Int8Scores | None:
    """Return what was measured for these weights; None if nothing was.

    A damaged file counts as missing: only the choice of a default depends on it.
    """
    try:
        content = read_bounded(run / "int8.json", MAX_JSON_BYTES)
        scores = Int8Scores.model_validate_json(content)
    except (FileError, ValidationError):
        return None
    return scores if scores.weights == _checksum(weights) else None


def measure_int8(
    run: Path, config: Config, weights: Path, threads: int, log: Callable[[str], object]
) -> Int8Scores | None:
    """Translate the validation set in float32 and in int8, and write down both scores.

    Args:
        run: run directory.
        config: its configuration.
        weights: the weights that it translates with, verified.
        threads: CPU threads.
        log: called with messages.

    Returns:
        The scores; None without a validation set, or if CTranslate2 cannot run the model.

    Raises:
        DataError: if the validation set cannot be read.
        FileError: if something cannot be read or written.
    """
    if not config.data.valid or cannot_represent(config):
        return None
    pairs = chain.from_iterable(read_pairs(corpus, config.data) for corpus in config.data.valid)
    sample = list(islice(pairs, config.train.valid_sentences))
    sources, references = [pair.src for pair in sample], [pair.tgt for pair in sample]
    bleu = {}
    for quantization in ("float32", "int8"):
        try:
            directory = converted(run, config, weights, quantization, log=lambda message: None)
            engine = CTranslate2Engine(directory, "cpu", threads, run=run, weights=weights)
        except ConfigError as error:
            log(f"int8 was not measured: {error}")
            return None
        translator = Translator(engine, search_options(config.decode), warn=lambda message: None)
        texts = [translation.text for translation in translator.translate(sources)]
        bleu[quantization] = _bleu(texts, references, config.data.tgt_lang)
    scores = Int8Scores(weights=_checksum(weights), sentences=len(sample), **bleu)
    write_text(run / "int8.json", scores.model_dump_json(indent=1) + "\n")
    log(str(scores))
    return scores


def _bleu(texts: list[str], references: list[str], tgt_lang: str) -> float:
    from nmt.evaluation.metrics import EvaluateOptions, evaluate

    [score] = evaluate(texts, [references], EvaluateOptions(["bleu"], tgt_lang=tgt_lang))
    return score.score


def _checksum(weights: Path) -> str:
    return str(read_manifest(weights)["files"]["weights.safetensors"]["sha256"])
