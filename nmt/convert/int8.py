"""Measure the loss of BLEU in int8; `nmt.runs.int8` reads the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nmt.config.schema import Config
from nmt.config.search import search_options
from nmt.convert.cached import converted
from nmt.data.validation_text import read_validation_text
from nmt.files import write_text
from nmt.runs.exported import cannot_represent
from nmt.runs.int8 import Int8Scores, checksum
from nmt.translate.ct2_engine import CTranslate2Engine
from nmt.translate.translator import Translator


def measure_int8(
    run: Path, config: Config, weights: Path, threads: int, log: Callable[[str], object]
) -> Int8Scores | None:
    """Translate the validation set in float32 and in int8, and save both scores.

    Args:
        run: run directory.
        config: its configuration.
        weights: the weights that it translates with, verified.
        threads: CPU threads.
        log: called with messages.

    Returns:
        The scores; None without a validation set, or if CTranslate2 cannot run the model.

    Raises:
        ConfigError: if CTranslate2 is not installed, or cannot run on this machine.
        DataError: if the validation set cannot be read.
        FileError: if something cannot be read or written.
    """
    if not config.data.valid or cannot_represent(config):
        return None
    text = read_validation_text(config, config.data.valid_corpora)
    bleu = {}
    for quantization in ("float32", "int8"):
        directory = converted(run, config, weights, quantization, log=lambda message: None)
        engine = CTranslate2Engine(
            directory, "cpu", threads, config=config, run=run, weights=weights
        )
        translator = Translator(engine, search_options(config.decode), warn=lambda message: None)
        translated = translator.translate(
            text.sources, languages=text.languages, contexts=text.contexts
        )
        texts = [translation.text for translation in translated]
        bleu[quantization] = _bleu(texts, text.references, config.data.tgt_lang)
    scores = Int8Scores(weights=checksum(weights), sentences=len(text.sources), **bleu)
    write_text(run / "int8.json", scores.model_dump_json(indent=1) + "\n")
    log(str(scores))
    return scores


def _bleu(texts: list[str], references: list[str], tgt_lang: str) -> float:
    from nmt.evaluation.metrics import EvaluateOptions, evaluate

    [score] = evaluate(texts, [references], EvaluateOptions(["bleu"], tgt_lang=tgt_lang))
    return score.score
