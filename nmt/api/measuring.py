"""What is measured with a trained model and stored in its run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nmt.api.model import load
from nmt.config.load import make_config
from nmt.config.schema import Config
from nmt.config.tune_decode import TuneDecodeConfig
from nmt.engines import Log, num_threads
from nmt.errors import ConfigError, DataError, FileError
from nmt.runs.calibration import Calibration, save_calibration
from nmt.runs.decode_tuning import DecodeTuning, read_tuning, save_tuning
from nmt.runs.int8 import checksum, read_int8_scores
from nmt.runs.layout import find_run, load_run_config, locked
from nmt.runs.parts import find_weights
from nmt.runs.retention import choose_weights
from nmt.translate.translation import Translation

if TYPE_CHECKING:  # imported late, because it takes time
    from nmt.evaluation.calibration import Bin


def tune_decode(
    run: str | Path,
    *,
    length_penalties: Sequence[float] | None = None,
    beam_sizes: Sequence[float] | None = None,
    minutes: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    log: Log = lambda message: None,
) -> DecodeTuning:
    """Choose the length penalty and the beam size of a run on its validation text.

    The run then translates with them, if they are significantly better than those in its
    configuration. Options that are given in a call have precedence over them.

    Args:
        run: a run directory.
        length_penalties, beam_sizes, minutes: fields of `train.tune_decode`; by default as in the
            configuration of the run.
        device, threads: as in `load`.
        log: called with messages.

    Raises:
        ConfigError: if it is not a run directory, has no validation text, a value is not allowed,
            or the time was too short.
        DataError: if the validation text cannot be read.
        FileError: if something cannot be read or written.
    """
    from nmt.data.validation_text import read_validation_text
    from nmt.training.decode_tuning import tune, tuned_set

    run = Path(run)
    if find_run(run) != run:
        raise ConfigError(f"{run}: name the run directory, whose chosen weights are tuned")
    given = {"length_penalties": length_penalties, "beam_sizes": beam_sizes, "minutes": minutes}
    config = _with_tune_decode(load_run_config(run), given)
    text = read_validation_text(config, tuned_set(config)[1])

    def translate(options: Mapping[str, Any], poll: Callable[[], None]) -> Iterator[Translation]:
        translator = model.translator(options, poll=poll, warn=lambda message: None)
        return translator.translate(text.sources, languages=text.languages, contexts=text.contexts)

    with locked(run, "wait for it"):
        model = load(run, device=device, threads=threads, log=log)
        tuning = tune(translate, text.references, config, checksum(model.weights), log)
        save_tuning(run, tuning)
    return tuning


def calibrate(
    run: str | Path, *, device: str = "auto", threads: int | None = None, log: Log = lambda m: None
) -> tuple[Calibration, list[Bin]]:
    """Fit the confidence in translations of a run to its validation text.

    Translations under guard then have a confidence. It holds for these weights only: other
    checkpoints and new averages have none.

    Args:
        run: a run directory.
        device, threads, log: as in `load`.

    Returns:
        The curve, and its table on the same text.

    Raises:
        ConfigError: if it is not a run directory, or has no validation text.
        DataError: if the validation text cannot be read, or is too short.
        FileError: if something cannot be read or written.
    """
    from nmt.data.validation_text import read_validation_text
    from nmt.evaluation import calibration as fitting

    run = Path(run)
    if find_run(run) != run:
        raise ConfigError(f"{run}: name the run directory, whose chosen weights are calibrated")
    config = load_run_config(run)
    if not config.data.valid:
        raise ConfigError("the confidence is fitted to data.valid, but there is none")
    text = read_validation_text(config, config.data.valid_corpora)
    with locked(run, "wait for it"):
        model = load(run, device=device, threads=threads, log=log)
        translator = model.translator({}, warn=log)
        found = [
            t.hypotheses[0]
            for t in translator.translate(
                text.sources, languages=text.languages, contexts=text.contexts
            )
        ]
        features = [best.log_prob_per_token for best in found]
        acceptable = fitting.are_acceptable([best.text for best in found], text.references)
        curve = fitting.fit(features, acceptable)
        calibration = Calibration(
            weights=checksum(model.weights),
            sentences=len(found),
            acceptable=sum(acceptable) / len(found),
            **curve._asdict(),
        )
        save_calibration(run, calibration)
    return calibration, fitting.bins([calibration.confidence(x) for x in features], acceptable)


def _with_tune_decode(config: Config, given: Mapping[str, Any]) -> Config:
    """Return a configuration with the section `train.tune_decode`, changed by values given."""
    settings = (config.train.tune_decode or TuneDecodeConfig()).model_dump()
    settings |= {name: value for name, value in given.items() if value is not None}
    values = config.model_dump(mode="json")
    return make_config(values, [f"train.tune_decode={json.dumps(settings)}"])


def tune_decode_once(run: Path, settings: TuneDecodeConfig, log: Log) -> None:
    """Tune the search at the end of training, unless it was tuned for these weights.

    Args:
        run: a trained run.
        settings: what to try.
        log: called with the result, or the reason why there is none.
    """
    from nmt.training.decode_tuning import render

    try:
        config = load_run_config(run)
        if read_tuning(run, config, choose_weights(run, config.train.metric)):
            return
        tuning = tune_decode(
            run,
            **settings.model_dump(),
            device=config.train.device,
            threads=config.train.threads,
            log=log,
        )
    except (ConfigError, DataError, FileError) as error:  # the run itself is complete
        log(f"decoding was not tuned: {error}")
        return
    for line in (*render(tuning), str(tuning)):
        log(line)


def compare_int8(run: Path, log: Log) -> None:
    """Measure how much int8 lowers validation BLEU, unless it is known for these weights.

    Args:
        run: a trained run.
        log: called with the result, or the reason why there is none.
    """
    from nmt.convert.int8 import measure_int8

    try:
        _, config, weights = find_weights(run)
        if not read_int8_scores(run, weights):
            measure_int8(run, config, weights, config.train.threads or num_threads(), log)
    except (ConfigError, DataError, FileError) as error:  # the run itself is complete
        log(f"int8 was not measured: {error}")
