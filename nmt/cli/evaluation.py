"""nmt evaluate and score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nmt.cli.app import log
from nmt.cli.options import (
    AsJson,
    Compute,
    ComputeOption,
    Device,
    Engine,
    EngineName,
    Ensemble,
    EnsembleWeights,
    Model,
    Output,
    Threads,
    computing_options,
    ensemble_options,
    found,
    refuse_outputs,
    require_one,
    with_search_options,
)
from nmt.cli.translation_job import file_bar
from nmt.errors import ConfigError

if TYPE_CHECKING:
    from nmt.evaluation.metrics import EvaluateOptions, Score
    from nmt.evaluation.testsets import EvaluationData
    from nmt.translate.translation import Translation
    from nmt.translate.translator import Translator

_SCORING = "Scoring"
OptionalModel = Annotated[
    Path | None,
    typer.Argument(
        metavar="MODEL",
        help="The model to translate with, unless --hyp is given.",
        callback=found,
    ),
]
Src = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Text to translate. Default: data.test.")
]
Ref = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="Reference translations; may be repeated.")
]
Hyp = Annotated[Path | None, typer.Option(metavar="FILE", help="Translations to score.")]
TestSet = Annotated[
    str | None, typer.Option(metavar="NAME", help="A test set of sacreBLEU: wmt14/full.")
]
Langs = Annotated[
    str | None, typer.Option(metavar="SRC-TGT", help="Its languages. Default: the model's.")
]
Metrics = Annotated[
    str,
    typer.Option(help="Some of bleu,chrf,ter, or bracket-f1 for parses.", rich_help_panel=_SCORING),
]
Lowercase = Annotated[
    bool,
    typer.Option("--lowercase", help="Ignore case in BLEU and chrF.", rich_help_panel=_SCORING),
]
Tokenize = Annotated[
    str | None,
    typer.Option(
        help="BLEU's tokenizer. Default: sacreBLEU's for the language.", rich_help_panel=_SCORING
    ),
]
Confidence = Annotated[
    bool,
    typer.Option(
        "--confidence",
        help="Estimate 95 % confidence intervals by bootstrap.",
        rich_help_panel=_SCORING,
    ),
]
Calibration = Annotated[
    bool,
    typer.Option(
        "--calibration",
        help="Print how well the confidence of `nmt calibrate` fits, instead of scores.",
        rich_help_panel=_SCORING,
    ),
]
EvalbParams = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="EVALB's parameter file for bracket-f1. Default: as COLLINS.prm.",
        rich_help_panel=_SCORING,
    ),
]


@with_search_options(
    *("tgt_lang", "src_lang"),
    *("beam_size", "length_penalty", "max_extra_len", "batch_tokens", "split_sentences"),
    *("context",),
    *("min_length", "no_repeat_ngram_size", "repetition_penalty", "banned", "shortlist"),
    *("coverage_penalty", "stop", "patience", "beam_groups", "diversity"),
    *("temperature", "top_k", "top_p", "seed", "mbr", "mbr_candidates"),
)
def evaluate(
    search: dict[str, Any],
    model: OptionalModel = None,
    src: Src = None,
    ref: Ref = None,
    hyp: Hyp = None,
    test_set: TestSet = None,
    langs: Langs = None,
    metrics: Metrics = "bleu,chrf",
    lowercase: Lowercase = False,
    tokenize: Tokenize = None,
    confidence: Confidence = False,
    calibration: Calibration = False,
    evalb_params: EvalbParams = None,
    as_json: AsJson = False,
    output: Output = None,
    ensemble: Ensemble = None,
    ensemble_weights: EnsembleWeights = None,
    device: Device = "auto",
    engine: Engine = EngineName.auto,
    compute: ComputeOption = Compute.auto,
    threads: Threads = None,
) -> None:
    """Score the translations of a model or a file with sacreBLEU, or parses with bracket-f1."""
    _check(model, hyp, src or output or ensemble or search, calibration, output or confidence)
    options = _scoring(metrics, lowercase, tokenize, confidence, evalb_params)
    models = [model, *(ensemble or [])] if model else []
    refuse_outputs([output] if output else [], [src, *(ref or []), evalb_params], models)
    files: dict[str, Any] = {"src": src, "refs": ref or [], "test_set": test_set, "langs": langs}
    if model:
        computing = computing_options(device, engine, compute, threads)
        computing |= ensemble_options(ensemble, ensemble_weights)
        data, translations = _translate(model, computing, search, files, options, calibration)
        if calibration:
            _print_calibration(data, translations, as_json)
            return
        hypotheses = [translation.text for translation in translations]
    else:
        data, hypotheses = _read(hyp, files)
    _print_scores(data, hypotheses, options, as_json, output)


def _check(
    model: Path | None,
    hyp: Path | None,
    translating: object,
    calibration: bool,
    scoring: object,
) -> None:
    """Check that the options fit together.

    Args:
        model: what to translate with.
        hyp: a file of translations.
        translating: options for translating.
        calibration: whether to print this instead of scores.
        scoring: options for scores.

    Raises:
        ConfigError: if they do not.
    """
    require_one("name a MODEL to translate with, or --hyp FILE with translations", model, hyp)
    if hyp and (translating or calibration):
        raise ConfigError(
            "--hyp is scored as it is: leave out --src, --output, --ensemble, --calibration and "
            "search options"
        )
    if calibration and scoring:
        raise ConfigError("--calibration prints no scores: leave out --output and --confidence")


def _scoring(
    metrics: str,
    lowercase: bool,
    tokenize: str | None,
    confidence: bool,
    evalb_params: Path | None,
) -> EvaluateOptions:
    from nmt.evaluation.metrics import EvaluateOptions
    from nmt.parsing.evalb_parameters import COLLINS, read_parameters

    names = metrics.split(",")
    if evalb_params and "bracket-f1" not in names:
        raise ConfigError("--evalb-params is for bracket-f1, which is not among --metrics")
    evalb = read_parameters(evalb_params) if evalb_params else COLLINS
    return EvaluateOptions(names, lowercase, tokenize, confidence=confidence, evalb=evalb)


def _translate(
    path: Path,
    computing: dict[str, Any],
    search: dict[str, Any],
    files: dict[str, Any],
    options: EvaluateOptions,
    calibration: bool,
) -> tuple[EvaluationData, list[Translation]]:
    from nmt import api
    from nmt.engines import num_threads
    from nmt.evaluation.metrics import gold_trees
    from nmt.evaluation.testsets import read_test_data

    parallel = computing["threads"] or num_threads()
    model = api.load(path, parallel=parallel, log=log, **computing)
    translator = model.translator(search, warn=log, guard="warn" if calibration else None)
    if translator.guard and not translator.guard.calibration:
        raise ConfigError(f"{path}: has no confidence in translations: `nmt calibrate` learns it")
    files = files | {name: search.get(name) for name in ("src_lang", "tgt_lang")}
    data = read_test_data(model.config, **files)
    gold_trees(data.refs, options)  # their errors are reported before minutes of translating
    return data, _translated(translator, data)


def _translated(translator: Translator, data: EvaluationData) -> list[Translation]:
    """Translate all lines, with a progress bar on a terminal."""
    from nmt.progress import progress_bar

    with progress_bar("translating", len(data.src)) as advance:
        found = translator.translate(
            data.src,
            languages=data.languages or None,
            contexts=data.contexts,
            advance=advance,
        )
        translations = list(found)
    if summary := translator.short.summary():
        log(summary)
    return translations


def _print_calibration(
    data: EvaluationData, translations: list[Translation], as_json: bool
) -> None:
    """Compare the confidence in translations with how many of them are acceptable."""
    from nmt.evaluation.calibration import are_acceptable, bins, render
    from nmt.files import write_lines

    # Blank lines have no confidence.
    rows = [
        (each.confidence, each.text, ref)
        for each, ref in zip(translations, data.refs[0], strict=True)
        if each.confidence is not None
    ]
    confidences, texts, refs = zip(*rows, strict=True) if rows else ((), (), ())
    table = bins(confidences, are_acceptable(texts, refs))
    write_lines(render(table, as_json), None)


def _read(hyp: Path | None, files: dict[str, Any]) -> tuple[EvaluationData, list[str]]:
    from nmt.data.lines import read_lines
    from nmt.evaluation.testsets import read_test_data

    return read_test_data(None, **files), list(read_lines(hyp, keep_bom=True))


def _print_scores(
    data: EvaluationData,
    hypotheses: list[str],
    options: EvaluateOptions,
    as_json: bool,
    output: Path | None,
) -> None:
    from nmt.evaluation.metrics import evaluate, render
    from nmt.evaluation.pairs import evaluate_pairs
    from nmt.files import write_lines

    warn_of_byte_order_marks(hypotheses, *data.refs)
    if output:
        write_lines(hypotheses, output)
    scores: list[Score] = evaluate(hypotheses, data.refs, replace(options, tgt_lang=data.tgt_lang))
    scores += evaluate_pairs(hypotheses, data.refs, data.languages, options)
    if output == Path("-"):  # the translations are on the standard output
        for line in "\n".join(render(scores, as_json)).split("\n"):
            log(line)
    else:
        write_lines(render(scores, as_json), None)


def warn_of_byte_order_marks(*texts: list[str]) -> None:
    """Print a warning if translations or references start with a byte-order mark."""
    from nmt.data.lines import BOM

    if any(lines[:1] and lines[0].startswith(BOM) for lines in texts):
        log(
            "warning: the byte-order mark at the start of the translations or references counts "
            "as text, as it does for sacreBLEU: remove it"
        )


@with_search_options("tgt_lang", "src_lang", "batch_tokens")
def score(
    model: Model,
    src: Annotated[Path, typer.Option(metavar="FILE", help="Source text.")],
    tgt: Annotated[Path, typer.Option(metavar="FILE", help="Its translation, line by line.")],
    search: dict[str, Any],
    as_json: AsJson = False,
    device: Device = "auto",
    engine: Engine = EngineName.auto,
    compute: ComputeOption = Compute.float32,
    threads: Threads = None,
) -> None:
    """Print how probable a model finds translations.

    One natural logarithm per pair; the perplexity goes to the standard error. With --json, one
    object per pair, with its tokens, and a last one with the perplexity.
    """
    refuse_outputs([None], [src, tgt], [model])

    from nmt import api
    from nmt.data.lines import read_lines
    from nmt.files import write_lines
    from nmt.translate.score import Totals, render

    loaded = api.load(model, **computing_options(device, engine, compute, threads), log=log)
    totals = Totals()
    with file_bar("scoring", src) as advance:
        pairs = loaded.score_stream(read_lines(src), read_lines(tgt), **search, advance=advance)
        write_lines(render(pairs, totals, as_json), None)
    log(str(totals))
