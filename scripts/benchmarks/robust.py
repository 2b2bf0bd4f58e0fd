"""`scripts/bench robust`: BLEU, chrF and flags on a test set, and on the same one made careless.

Each version of the test set has one change of `data.augment` in all lines, always the same one:
capitals, title case and missing punctuation also change the references; lower case and typing
errors do not. With `concatenate`, each line has the next one appended. `flagged` is the percentage
of translations that the guard flags. Several models can be compared, with and without
`data.augment`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from common import positive

from nmt.config.augment import AugmentConfig
from nmt.config.languages import LanguagePair
from nmt.data.augment import TextPair, augmented
from nmt.data.lines import read_lines
from report import Report
from runs import Case


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=Path, action="append", required=True, help="a run; may be repeated"
    )
    parser.add_argument("--src", type=Path, required=True, help="text to translate")
    parser.add_argument("--ref", type=Path, required=True, help="reference translation")
    parser.add_argument("--sentences", type=positive, help="translate only the first N")
    parser.add_argument("--threads", type=positive, default=2, help="CPU threads")
    parser.add_argument(
        "--output", type=Path, help="file for the JSON lines; default: standard output"
    )


def run(options: argparse.Namespace) -> None:
    """Translate each version of the test set with each model."""
    import nmt

    pairs = test_pairs(options.src, options.ref, options.sentences)
    report = Report("robust", options.output)
    for path in options.model:
        model = nmt.load(path, threads=options.threads)
        data = model.config.data
        for name, changed in versions(pairs, LanguagePair(data.src_lang, data.tgt_lang)):
            sources, references = zip(*changed, strict=True)
            found = model.translate(sources, guard="warn")
            texts = [each.text for each in found]
            scores = nmt.evaluate(
                texts, references, metrics=["bleu", "chrf"], tgt_lang=data.tgt_lang
            )
            figures = {score.metric: score.score for score in scores}
            figures["flagged"] = 100 * sum(bool(each.flags) for each in found) / len(found)
            report.add(Case(str(path), {"input": name}, dict), figures)
    report.finish(["bleu", "chrf", "flagged"], "bleu", among="input")


def test_pairs(src: Path, ref: Path, number: int | None) -> list[TextPair]:
    """Return the first pairs of a test set."""
    sources, references = ([*read_lines(path)] for path in (src, ref))
    if len(sources) != len(references):
        sys.exit(f"scripts/bench: {src} has {len(sources)} lines, but {ref} has {len(references)}")
    return [*zip(sources, references, strict=True)][:number]


def versions(
    pairs: list[TextPair], languages: LanguagePair
) -> Iterator[tuple[str, list[TextPair]]]:
    """Yield the name and the pairs of the test set as it is, and with each change."""
    yield "clean", pairs
    following = [*pairs[1:], None]
    for name in AugmentConfig.model_fields:
        settings = AugmentConfig.model_validate({name: 1.0})
        yield name, augmented(pairs, following, [languages] * len(pairs), settings, seed=1)
