"""The text of sequence-level knowledge distillation: sources with a teacher's translations.

A student learns from the translations that its teacher's beam search finds, instead of from the
references, or along with them (Kim and Rush 2016, section 3.2). They are more regular, so a smaller
model can learn them. With several candidates per sentence, the one most similar to the reference is
chosen (section 3.3, "sequence-level interpolation").
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from nmt.config.corpora import AnyCorpus, JsonlCorpus
from nmt.config.schema import Config
from nmt.data.corpus import read_pairs
from nmt.data.shards import shards
from nmt.evaluation.metrics import sentence_bleu
from nmt.progress import progress_bar
from nmt.runs.exported import is_exported
from nmt.runs.layout import load_run_config
from nmt.training.initial import differences
from nmt.training.run import is_begun, starting_from
from nmt.translate.formats import Item
from nmt.translate.partial_output import is_finished
from nmt.translate.resume import translate_file
from nmt.translate.translation import ScoredText, Translation
from nmt.translate.translator import Translator


def distill_corpora(
    load_teacher: Callable[[], Translator],
    config: Config,
    output: Path,
    log: Callable[[str], object],
) -> None:
    """Translate the sources of `data.train` with a teacher, into a corpus for a student.

    Each line of the output is a JSON object with the keys `src`, `ref`, `candidates` and `tgt`, the
    candidate to learn. With several language pairs there is an output for each; see `each_pair`. An
    interrupted call is continued, and a complete output is left alone.

    Args:
        load_teacher: returns the teacher, unless the output is complete. The option `nbest` of its
            search is the number of candidates.
        config: configuration of the student.
        output: a .jsonl file.
        log: called with messages for the user.

    Raises:
        ConfigError: if the output was begun with another teacher or other options.
        DataError: if a corpus cannot be read.
        FileError: if the output cannot be written.
        Interrupted: by a signal; what has been translated is kept.
    """
    load_once = cache(load_teacher)
    for path, part in each_pair(config, output).items():
        _distill_pair(load_once, part, path, log)


def _distill_pair(
    load_teacher: Callable[[], Translator],
    config: Config,
    output: Path,
    log: Callable[[str], object],
) -> None:
    """Translate the sources of corpora of one language pair."""
    if is_finished(output):
        log(f"{output}: already there; delete it to translate the training data again")
        return
    teacher = load_teacher()
    log(
        f"{output}: translating the training data with {teacher.engine}; after an interruption, "
        "repeat the command to continue"
    )
    [pair] = config.data.train_pairs
    layout = DistilledLayout(pair.tgt, pair.src)
    output.parent.mkdir(parents=True, exist_ok=True)
    with progress_bar("translating the training data", None) as advance:
        translate_file(
            teacher,
            _records(config, divided=bool(teacher.context or config.data.context)),
            layout,
            output,
            resume=True,
            log=lambda message: None,  # it would name an option of `nmt translate`
            advance=advance,
        )


def each_pair(config: Config, output: Path) -> dict[Path, Config]:
    """Divide a configuration by language pair.

    Args:
        config: the configuration.
        output: where the distilled text of a single language pair goes.

    Returns:
        By the path for its distilled text, the configuration of each language pair. With several,
        the pair is part of the name: `student.distilled.en-de.jsonl`.
    """
    found = {}
    pairs = config.data.train_pairs
    for pair in pairs:
        path = (
            output.with_suffix(f".{str(pair).replace('/', '_')}{output.suffix}")
            if len(pairs) > 1
            else output
        )
        corpora = [corpus for corpus in config.data.train if config.data.pair_of(corpus) == pair]
        data = config.data.model_copy(update={"train": corpora})
        found[path] = config.model_copy(update={"data": data})
    return found


def student_config(config: Config, distilled: Path, *, only_distilled: bool) -> Config:
    """Return the configuration of a student that also, or only, learns from distilled text.

    Args:
        config: the configuration with the original corpora.
        distilled: what `distill_corpora` wrote; where there are several language pairs, the path
            that was divided.
        only_distilled: leave out the original corpora.
    """
    corpora: list[AnyCorpus] = []
    for path, part in each_pair(config, distilled).items():
        [pair] = part.data.train_pairs
        corpus = JsonlCorpus(jsonl=str(path), src_key="src", tgt_key="tgt")
        if pair != (config.data.src_lang, config.data.tgt_lang):
            corpus = corpus.model_copy(update={"src_lang": pair.src, "tgt_lang": pair.tgt})
        corpora.append(corpus)
    originals = [] if only_distilled else config.data.train
    data = config.data.model_copy(update={"train": [*originals, *corpora]})
    return config.model_copy(update={"data": data})


def start_from_teacher(
    config: Config, teacher: str | Path, run: Path, log: Callable[[str], object]
) -> Config:
    """Return the configuration of a student that starts from its teacher's weights, if they fit.

    Args:
        config: of the student; nothing changes if it has `train.init_from`.
        teacher: a model directory, or the name of a model on the Hub.
        run: the student's; if it has begun, it started as its configuration says.
        log: called with a message that says where the student starts.
    """
    if config.train.init_from:
        return config
    if is_begun(run):
        return starting_from(config, load_run_config(run).train.init_from)
    if is_exported(Path(teacher)):
        log(f"the student starts from random weights: {teacher} is an exported model")
        return config
    if different := differences(str(teacher), config):
        log(f"the student starts from random weights: {'; '.join(different)}")
        return config
    log(f"the student starts from the weights of {teacher}")
    return starting_from(config, str(teacher))


def _records(config: Config, *, divided: bool) -> Iterator[str]:
    """Yield the pairs of all corpora.

    Args:
        config: of the student.
        divided: with a blank pair between two corpora, as the end of a document: the first sentence
            of one is not preceded by the last one of the other.
    """
    corpora = [part for corpus in config.data.train for part in shards(corpus)]
    for number, corpus in enumerate(corpora):
        if number and divided:
            yield json.dumps({"src": "", "ref": ""})
        for pair in read_pairs(corpus, config.data):
            yield json.dumps({"src": pair.src, "ref": pair.tgt}, ensure_ascii=False)


@dataclass(frozen=True)
class DistilledLayout:
    """Reads objects with `src` and `ref`; adds `candidates`, and as `tgt` the one to learn.

    Attributes:
        tgt_lang, src_lang: codes of the languages, which a teacher with tags is told.
    """

    tgt_lang: str
    src_lang: str | None = None

    @cached_property
    def _similarity(self) -> Callable[[str, str], float]:
        return sentence_bleu(self.tgt_lang)

    def read(self, line: str, number: int) -> Item:
        """Return the source of a pair."""
        record: dict[str, Any] = json.loads(line)
        return Item(record["src"], record, src_lang=self.src_lang, tgt_lang=self.tgt_lang)

    def write(self, number: int, item: Item, translation: Translation) -> str:
        """Return the pair with its candidates, and the one that is most similar to `ref`."""
        record = item.record or {}
        candidates = [best.text for best in translation.hypotheses]
        chosen = candidates[0]
        if len(candidates) > 1:  # of equally similar ones, the most probable
            chosen = max(candidates, key=lambda text: self._similarity(text, record["ref"]))
        record = record | {"candidates": candidates, "tgt": chosen}
        return json.dumps(record, ensure_ascii=False)

    def read_output(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Read the candidates back from output lines."""
        for line in lines:
            texts: list[str] = json.loads(line)["candidates"]
            yield Translation([ScoredText(text, 0.0) for text in texts])
