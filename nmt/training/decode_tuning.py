"""Choose the length penalty and the beam size of a trained model on validation text.

Which length penalty is best depends on the model and on the beam: log_prob prefers short
translations, the more so the larger the beam (Murray and Chiang 2018, "Correcting Length Bias in
Neural Machine Translation"), and the penalty of Wu et al. (2016, eq. 14) corrects that.

The beam itself is ranked by log_prob, and the search ends when enough hypotheses have finished. So
the penalty changes neither what a search finds nor when it stops, only the ranking at the end, and
one n-best list per beam size serves all penalties. It must be a list of the smallest penalty. If
more hypotheses finish in the last step than the list has places for, it drops the worst, and

- of those that finished in this step, at least one is kept, since those before did not fill the
  list. They all have the same length, so the best of them is the same for every penalty;
- one that is shorter is dropped only if it is worse than that one, and a larger penalty makes it
  worse still.

So the best hypothesis of every larger penalty is in the list. This does not hold for a list of a
larger penalty, nor exactly with a coverage penalty. With `stop: bound` the penalty decides when the
search stops, so each one takes a search of its own.

In any case searches of their own compare the winner with the configured setting, and it has to be
significantly better: the best of a dozen settings on one text is a little better by chance alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from nmt.config.corpora import AnyCorpus
from nmt.config.schema import Config
from nmt.config.search import search_options
from nmt.config.tune_decode import TuneDecodeConfig
from nmt.config.validation import set_of
from nmt.errors import ConfigError
from nmt.evaluation.compare import paired_bootstrap
from nmt.evaluation.metrics import EvaluateOptions, evaluate
from nmt.runs.decode_tuning import METRIC_NAMES, DecodeTuning, Ranked, Setting
from nmt.search.hypothesis import length_factor
from nmt.translate.translation import ScoredText, Translation

MAX_P_VALUE = 0.01
"""Of the winner's difference. The usual 0.05 would be too much for the best of many settings."""

Log = Callable[[str], object]
Translate = Callable[[Mapping[str, Any], Callable[[], None]], Iterable[Translation]]
"""Translates the validation text with search options; it often calls the function in between."""


def tuned_set(config: Config) -> tuple[str, Sequence[AnyCorpus]]:
    """Return the name and the corpora of the set of data.valid to tune on.

    It is the set that `train.metric` names, or else the first.

    Raises:
        ConfigError: if there is none.
    """
    if not config.data.valid:
        raise ConfigError("the settings of the search are chosen on data.valid, but there is none")
    sets = config.data.valid_sets
    name = set_of(config.train.metric) or next(iter(sets))
    return name, sets[name]


def tune(
    translate: Translate,
    references: Sequence[str],
    config: Config,
    weights: str,
    log: Log,
    clock: Callable[[], float] = time.monotonic,
) -> DecodeTuning:
    """Find the best length penalty and beam size.

    Args:
        translate: translates the set of `tuned_set`.
        references: its references.
        config: the configuration in the run; `train.tune_decode` says what to try.
        weights: SHA-256 of the weights.
        log: called with messages.
        clock: returns seconds.

    Raises:
        ConfigError: if the time is over before anything is known; or as in `search_options`.
    """
    settings = config.train.tune_decode or TuneDecodeConfig()
    figure = config.train.metric.rpartition("/")[2]
    metric: Literal["bleu", "chrf"] = "chrf" if figure == "chrf" else "bleu"
    scoring = EvaluateOptions([metric], tgt_lang=config.data.tgt_lang)
    searches = _Searches(translate, config, settings, clock)
    configured = Setting.of(config.decode)
    table = list(_table(searches, references, settings, scoring, log))
    best = max(table, key=lambda row: _preference(row, configured)).setting
    texts = {setting: searches.texts(setting) for setting in (configured, best)}
    scores = {setting: _score(texts[setting], references, scoring) for setting in texts}
    p_value = 1.0
    if best != configured:
        p_value = paired_bootstrap(texts[configured], texts[best], references, metric, scoring)
    is_better = scores[best] > scores[configured] and p_value < MAX_P_VALUE
    return DecodeTuning(
        weights=weights,
        metric=metric,
        valid_set=tuned_set(config)[0],
        sentences=len(references),
        configured=configured,
        best=best,
        chosen=best if is_better else configured,
        configured_score=scores[configured],
        best_score=scores[best],
        p_value=p_value,
        table=table,
    )


def render(tuning: DecodeTuning) -> Iterator[str]:
    """Yield the table as lines of text."""
    yield f"beam_size  length_penalty  {METRIC_NAMES[tuning.metric]:>6}  length / reference"
    for row in tuning.table:
        marks = [
            word
            for word in ("configured", "best", "chosen")
            if row.setting == getattr(tuning, word)
        ]
        setting = f"{row.setting.beam_size:9}  {row.setting.length_penalty:14g}"
        yield f"{setting}  {row.score:6.2f}  {row.length:18.3f}  {', '.join(marks)}".rstrip()


def best_of(hypotheses: Sequence[ScoredText], length_penalty: float) -> ScoredText:
    """Return the best hypothesis under another length penalty; the first of equal ones."""

    def score(one: ScoredText) -> float:
        return one.log_prob / length_factor(one.num_tokens, length_penalty) + one.coverage

    return max(hypotheses, key=score)


def _table(
    searches: _Searches,
    references: Sequence[str],
    settings: TuneDecodeConfig,
    scoring: EvaluateOptions,
    log: Log,
) -> Iterator[Ranked]:
    """Yield the score of each setting, the configured beam size first."""
    characters = max(1, sum(map(len, references)))
    for beam_size in searches.beam_sizes:
        if not searches.has_time(beam_size):
            log(f"beam_size {beam_size} is left out: tune_decode.minutes is {settings.minutes:g}")
            continue
        for length_penalty in searches.length_penalties:
            setting = Setting(beam_size=beam_size, length_penalty=length_penalty)
            texts = searches.expected(setting)
            yield Ranked(
                setting=setting,
                score=_score(texts, references, scoring),
                length=sum(map(len, texts)) / characters,
            )


def _preference(row: Ranked, configured: Setting) -> tuple[float, bool, int, float]:
    """Order settings: by score, then the configured one, fast ones, and those close to it."""
    setting = row.setting
    distance = abs(setting.length_penalty - configured.length_penalty)
    return row.score, setting == configured, -setting.beam_size, -distance


def _score(texts: Sequence[str], references: Sequence[str], scoring: EvaluateOptions) -> float:
    [score] = evaluate(texts, [references], scoring)
    return score.score


class _Searches:
    """The searches over the validation text, each done once.

    Args:
        translate, config, settings, clock: as in `tune`.

    Attributes:
        beam_sizes: those to try, the configured one first.
        length_penalties: those to try, ascending.
    """

    def __init__(
        self,
        translate: Translate,
        config: Config,
        settings: TuneDecodeConfig,
        clock: Callable[[], float],
    ) -> None:
        self._translate, self._decode, self._clock = translate, config.decode, clock
        self._start, self._minutes = clock(), settings.minutes
        self._seconds = 0.0  # of a search, per hypothesis in the beam
        first, penalty = config.decode.beam_size, config.decode.length_penalty
        self.beam_sizes = [first, *sorted({*settings.beam_sizes} - {first})]
        self.length_penalties = sorted({*settings.length_penalties, penalty})
        self._one_list = config.decode.stop != "bound"
        self._lists = cache(self._search_lists)
        self.texts = cache(self._search_texts)

    def has_time(self, beam_size: int) -> bool:
        """Return whether there is time for a beam size, and for two searches to compare it."""
        searches = 1 if self._one_list else len(self.length_penalties)
        needed = self._seconds * ((searches + 1) * beam_size + self._decode.beam_size)
        return self._clock() - self._start + needed <= 60 * self._minutes

    def expected(self, setting: Setting) -> list[str]:
        """Return the translations of a search with a setting, from the n-best lists if possible."""
        if not self._one_list:
            return self.texts(setting)
        lists = self._lists(setting.beam_size)
        return [best_of(hypotheses, setting.length_penalty).text for hypotheses in lists]

    def _search_lists(self, beam_size: int) -> list[list[ScoredText]]:
        """Return the n-best list of each sentence."""
        options = {"beam_size": beam_size, "length_penalty": self.length_penalties[0]}
        nbest = search_options(self._decode, options).most_of_the_beam
        return [one.hypotheses for one in self._search({**options, "nbest": nbest})]

    def _search_texts(self, setting: Setting) -> list[str]:
        """Return the translations of a search with a setting."""
        return [one.text for one in self._search(setting.model_dump())]

    def _search(self, options: Mapping[str, Any]) -> list[Translation]:
        start = self._clock()
        found = list(self._translate(options, self._check_time))
        self._seconds = (self._clock() - start) / options["beam_size"]
        return found

    def _check_time(self) -> None:
        if self._clock() - self._start > 60 * self._minutes:
            raise ConfigError(
                f"{self._minutes:g} minutes were not enough to translate the validation text: "
                "raise `minutes` of tune_decode, or set train.valid_sentences"
            )
