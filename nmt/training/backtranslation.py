"""Training on monolingual text by back-translation (Sennrich et al. 2016).

A reverse model translates text of the target language. Its translations become the sources of
synthetic pairs, whose targets are human text, and the forward model learns from these and the real
pairs. In iterative back-translation (Hoang et al. 2018), that forward model then translates text of
the source language, from which a better reverse model learns, and so on. So each model is the
teacher of the next, and all but the last one write a text:

    FOLDER/reverse-1/                   the run of a model
    FOLDER/reverse-1.json               what it translates, and how
    FOLDER/reverse-1.translated.jsonl   all its translations
    FOLDER/reverse-1.jsonl              those that the filters keep: the corpus of the next model
    FOLDER/filters.json                 which ones the filters keep
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nmt.config.languages import LanguagePair
from nmt.config.reverse import reversed_config
from nmt.config.schema import Config
from nmt.config.search import search_options
from nmt.console import Console
from nmt.data import cache
from nmt.data.corpus import content_key, stream_key
from nmt.data.lines import count_lines, read_lines
from nmt.data.synthetic import SyntheticOptions, real_corpora, with_synthetic
from nmt.errors import ConfigError, DataError
from nmt.files import is_standard, write_text
from nmt.progress import progress_bar
from nmt.runs.exported import is_exported
from nmt.runs.layout import load_run_config
from nmt.runs.manifest import read_json, read_manifest
from nmt.runs.parts import find_weights
from nmt.training.continuing import check_settings
from nmt.training.run import is_begun
from nmt.translate.partial_output import is_finished, written_files
from nmt.translate.resume import translate_file
from nmt.translate.synthetic import SyntheticLayout
from nmt.translate.translator import Translator

_CHANGES = {
    "model": "another model",
    "search": "other search options",
    "text": "other monolingual text",
    "data": "a model trained on other text",
}
"""What it means that a value of a model's record has changed."""


@dataclass(frozen=True)
class BackTranslation:
    """What `backtranslate` is to do.

    Attributes:
        config: of the forward model.
        run: run directory of the forward model; the others go into a folder next to it.
        mono: files of text in the target language.
        src_mono: files of text in the source language, for more than one round.
        rounds: how many reverse models and forward models to train, in turn.
        reverse: directory of the first reverse model; None trains it.
        output: write the last synthetic pairs there, and train no forward model on them.
        synthetic: which synthetic pairs to keep, and how to mix them with real ones.
        search: options of all translations.
    """

    config: Config
    run: Path
    mono: Sequence[Path]
    src_mono: Sequence[Path] = ()
    rounds: int = 1
    reverse: Path | None = None
    output: Path | None = None
    synthetic: SyntheticOptions = field(default_factory=SyntheticOptions)
    search: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where all the models and texts but the forward model go."""
        return self.run.with_name(f"{self.run.name}.backtranslation")

    def check(self) -> None:
        """Check what needs neither a model nor hours.

        Raises:
            ConfigError: if the options or the reverse model do not fit the configuration.
            DataError: if a monolingual text is empty.
            FileError: if one cannot be read, or there is no such model.
        """
        data = self.config.data
        pair = LanguagePair(data.src_lang, data.tgt_lang)
        search_options(self.config.decode, self.search)
        if not real_corpora(self.config):
            raise ConfigError(f"data.train has no corpus of {pair}, the languages of data")
        if (self.rounds > 1) != bool(self.src_mono):
            raise ConfigError(
                "`src_mono` and `rounds` above 1 need each other: after the first round, a new "
                "reverse model learns from translations of text in the source language"
            )
        stages = self.config.train.stages
        if stages and all(stage.corpora is not None for stage in stages):
            raise ConfigError(
                "train.stages: each stage names its corpora, so none would have the synthetic "
                "pairs: leave out `corpora` in at least one"
            )
        if self.config.train.init_from and (self.rounds > 1 or self.reverse is None):
            one_round = " and leave out `rounds`" if self.rounds > 1 else ""
            raise ConfigError(
                "train.init_from: a reverse model cannot start from a model of the other "
                f"direction: name a trained reverse model with `reverse`{one_round}, or remove "
                "train.init_from"
            )
        for path in (*self.mono, *self.src_mono):
            if is_standard(path):
                raise ConfigError("monolingual text is read more than once: name a file, not `-`")
            if not any(line.strip() for line in read_lines(path)):
                raise DataError(f"{path}: contains no text")
        if self.reverse:
            _check_direction(self.reverse, LanguagePair(data.tgt_lang, data.src_lang))
        if self.output is None and is_begun(self.run) and not self.folder.exists():
            raise ConfigError(
                f"{self.run} holds a run that has been trained without back-translations: use "
                "another `run_dir`"
            )


def backtranslate(
    job: BackTranslation,
    train: Callable[..., object],
    load: Callable[[Path, Mapping[str, Any]], Translator],
    console: Console,
) -> None:
    """Train models on each other's translations; what is finished is not done again.

    Args:
        job: what to do.
        train: trains a model, or continues, given the configuration and `run_dir`.
        load: returns a translator, given the directory of a model and the search options.
        console: for messages.

    Raises:
        ConfigError: if something has changed since an earlier call.
        ConfigError, DataError, FileError: as in `BackTranslation.check`.
        DataError: if a text cannot be read or translated, or no synthetic pairs are left.
        Interrupted, TrainingError: as in `nmt.training.run.train`.
    """
    job.check()
    forward, reverse = job.config, reversed_config(job.config)
    sides: list[tuple[str, Config, Sequence[Path]]] = [
        ("reverse", reverse, job.mono),
        ("forward", forward, job.src_mono),
    ]
    rounds = range(1, job.rounds + 1)
    steps = [(f"{name}-{n}", config, texts) for n in rounds for name, config, texts in sides]
    *teachers, _ = steps
    learners = [job.folder / name for name, *_ in teachers[1:]]
    _keep_filters(job, learners if job.output else [*learners, job.run])
    synthetic: Path | None = None

    def mixed(config: Config) -> Config:
        if synthetic is None:  # before the first translations
            return config
        return with_synthetic(config, synthetic, job.synthetic.ratio, console.print_line)

    for name, config, texts in teachers:
        given = job.reverse if synthetic is None else None
        output = job.output if name == teachers[-1][0] else None
        teacher = _Teacher(job, name, mixed(config), texts, given)
        synthetic = teacher.write(train, load, console, output)
    if job.output is None:
        train(mixed(forward), run_dir=job.run)


def _keep_filters(job: BackTranslation, learners: Sequence[Path]) -> None:
    """Refuse other filters once a model has learned from what they kept, before that is changed.

    Args:
        job: what to do.
        learners: the runs of the models that learn from texts in the folder.

    Raises:
        ConfigError: if they are others.
    """
    record, now = job.folder / "filters.json", asdict(job.synthetic)
    if not (begun := [run for run in learners if is_begun(run)]):
        if learners:
            job.folder.mkdir(parents=True, exist_ok=True)
            write_text(record, f"{json.dumps(now, indent=1)}\n")
        return
    before = read_json(record) if record.exists() else now
    if changed := [name for name in now if now[name] != before.get(name)]:
        changes = [f"`{name}`: was {before.get(name)}, is now {now[name]}" for name in changed]
        raise ConfigError(
            f"{begun[0]} has learned from synthetic pairs that were chosen in another way; use the "
            "old values, or another `run_dir`",
            *changes,
        )


@dataclass(frozen=True)
class _Teacher:
    """A model whose translations the next one learns from.

    Attributes:
        job: all that there is to do.
        name: of its files.
        config: of the model.
        texts: files that it translates.
        given: its directory, if it need not be trained.
    """

    job: BackTranslation
    name: str
    config: Config
    texts: Sequence[Path]
    given: Path | None

    @property
    def _model(self) -> Path:
        return self.given or self.job.folder / self.name

    @property
    def _record(self) -> Path:
        return self.job.folder / f"{self.name}.json"

    @property
    def _search(self) -> dict[str, Any]:
        """The options of the search. A run that is finished keeps the `decode` it was trained with,
        so this has all that is configured now, unless the model comes with settings of its own.
        """
        has_own = self.given or self.config.train.tune_decode
        configured = {} if has_own else self.config.decode.model_dump(mode="json")
        return {**configured, **self.job.search}

    def write(
        self,
        train: Callable[..., object],
        load: Callable[[Path, Mapping[str, Any]], Translator],
        console: Console,
        output: Path | None,
    ) -> Path:
        """Train the model, translate the texts, and return the path of the pairs that are kept.

        Args:
            train, load, console: as in `backtranslate`.
            output: that path, if not in the folder.
        """
        self.job.folder.mkdir(parents=True, exist_ok=True)
        translated = self.job.folder / f"{self.name}.translated.jsonl"
        kept = output or self.job.folder / f"{self.name}.jsonl"
        if self._record.exists():
            self._check_unchanged()
        else:
            if not self.given:
                train(self.config, run_dir=self._model)
            for path in written_files(translated):  # of an earlier record
                path.unlink(missing_ok=True)
            write_text(self._record, f"{json.dumps(self._settings(), indent=1)}\n")
        if is_finished(translated):
            console.print_line(f"{translated}: already there")
        else:
            self._translate(load(self._model, self._search), translated, console)
        names = ", ".join(path.name for path in self.texts)
        documents = self.config.data.context > 0
        report = self.job.synthetic.filter(translated, kept, names, documents=documents)
        console.print(report.table())
        return kept

    def _translate(self, translator: Translator, output: Path, console: Console) -> None:
        console.print_line(
            f"{output}: translating {', '.join(map(str, self.texts))} with {translator.engine}; "
            "after an interruption, repeat the command to continue"
        )
        counts = [count_lines(path) for path in self.texts]
        total = sum(count or 0 for count in counts) if None not in counts else None
        data = self.config.data
        with progress_bar("translating monolingual text", total, console) as advance:
            translate_file(
                translator,
                _lines(self.texts, divided=bool(translator.context or data.context)),
                SyntheticLayout(data.src_lang, data.tgt_lang),
                output,
                resume=True,
                log=lambda message: None,  # it would name an option of `nmt translate`
                advance=advance,
            )

    def _settings(self) -> dict[str, Any]:
        """Return what the translations depend on; no model if it has been deleted since."""
        digest = hashlib.sha256()
        for line in _lines(self.texts):
            digest.update(line.encode() + b"\n")
        key = stream_key if self.config.data.streaming else content_key
        corpora = [] if self.given else [key(corpus) for corpus in self.config.data.train]
        exists = self._model.exists()
        return {
            **({"model": _checksum(self._model)} if exists else {}),
            "search": self._search,
            "text": digest.hexdigest(),
            "data": cache.key(corpora=corpora),
        }

    def _check_unchanged(self) -> None:
        """Raise a ConfigError unless the translations go with everything as it is now."""
        delete = f"delete {self._record} to translate again"
        if not self.given and is_begun(self._model):
            check_settings(self.config, self._model)
            steps = load_run_config(self._model).train.max_steps
            if steps < self.config.train.max_steps:
                raise ConfigError(
                    f"{self._model} had train.max_steps={steps} when it began to translate, and "
                    f"now {self.config.train.max_steps}: use the same value, or {delete}"
                )
        before, now = read_json(self._record), self._settings()
        if changed := [_CHANGES[name] for name in now if now[name] != before.get(name)]:
            raise ConfigError(
                f"{self._record}: its translations were begun with {', '.join(changed)}: restore "
                f"what has changed, or {delete}"
            )


def _lines(paths: Iterable[Path], *, divided: bool = False) -> Iterator[str]:
    """Yield the lines of files; if `divided`, with a blank one between two files."""
    for number, path in enumerate(paths):
        if number and divided:
            yield ""
        yield from read_lines(path)


def _checksum(model: Path) -> str:
    """Return a hash of the files of a model's weights according to their manifest."""
    weights = model if is_exported(model) else find_weights(model)[2]
    return cache.key(files=read_manifest(weights)["files"])


def _check_direction(model: Path, pair: LanguagePair) -> None:
    """Raise a ConfigError unless a model translates between the given languages."""
    known = load_run_config(model if is_exported(model) else find_weights(model)[0]).data
    if pair not in known.train_pairs:
        raise ConfigError(
            f"`reverse`: {model} translates {', '.join(map(str, known.train_pairs))}, but the "
            f"monolingual text needs a model that translates {pair}"
        )
