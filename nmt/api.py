"""The Python API: load a model, translate, score, align; train and evaluate.

Only this module, with `nmt.engines`, combines configuration, weights, engine and translator. The
command line, reports and scripts call it.

    import nmt

    model = nmt.load("runs/demo")
    print(model.translate("The boys are six years old.").text)

Errors are those of `nmt.errors`; their messages name parameters in backticks.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args, overload

from nmt.config.languages import LanguagePair
from nmt.config.load import load_config, make_config
from nmt.config.schema import Config
from nmt.config.search import SearchOptions, search_options
from nmt.config.tune_decode import TuneDecodeConfig
from nmt.data.synthetic import SyntheticOptions
from nmt.data.tags import Tagger
from nmt.engines import Log, OwnEngine, check_choices, num_threads, open_engines
from nmt.errors import ConfigError, DataError, FileError
from nmt.files import writing
from nmt.hub.models import find_model, pin
from nmt.hub.names import is_hub_name
from nmt.progress import Advance
from nmt.runs.calibration import Calibration, read_calibration, save_calibration
from nmt.runs.decode_tuning import DecodeTuning, read_tuning, save_tuning
from nmt.runs.int8 import checksum, read_int8_scores
from nmt.runs.layout import find_run, load_run_config, locked
from nmt.runs.manifest import read_manifest
from nmt.runs.parts import find_weights
from nmt.runs.retention import choose_weights
from nmt.translate.ct2_engine import CTranslate2Engine
from nmt.translate.engine import Engine, WordAligner
from nmt.translate.glossary import Glossary
from nmt.translate.guard.guard import Guard, GuardMode, Retry, retried_options
from nmt.translate.protect import Protector
from nmt.translate.score import PairScore, score_pairs
from nmt.translate.translation import Translation
from nmt.translate.translator import Translator
from nmt.translate.words import Links

if TYPE_CHECKING:  # these need torch, which takes a second to import
    from nmt.console import Console
    from nmt.documents.document import Translatable
    from nmt.evaluation.calibration import Bin
    from nmt.evaluation.metrics import Score
    from nmt.translate.align import Aligner
    from nmt.translate.alternatives import Alternative
    from nmt.translate.attend import PairAttention
    from nmt.translate.part_search import Peers


def load(
    path: str | Path,
    *,
    ensemble: Sequence[str | Path] = (),
    ensemble_weights: Sequence[float] | None = None,
    engine: str = "auto",
    compute: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    parallel: int | None = None,
    log: Log = lambda message: None,
) -> Model:
    """Load a model.

    Args:
        path: a run directory, one checkpoint in it (`RUN/checkpoints/step-N`), a model exported
            to CTranslate2, or one on the Hugging Face Hub: `hf:owner/name`, or
            `hf:owner/name@revision`, which is downloaded into the cache once.
        ensemble: further runs with the same tokenizers; their probabilities are averaged.
        ensemble_weights: weights of the models in the arithmetic mean of their probabilities, that
            of `path` first; numbers above 0, whose sum does not matter. By default all the same.
        engine: `nmt`, `ctranslate2`, or `auto`: on a CPU CTranslate2, which is faster, for all that
            it can do, and nmt's own for the rest. A run is converted for CTranslate2 once, in
            seconds, into the cache.
        compute: `float32`, `bfloat16`, `int8` (on a CPU), or `auto`: what an exported model
            was exported for; int8 for a run whose validation showed that it costs at most 0.1 BLEU;
            bfloat16 on a GPU that has it; otherwise float32.
        device: `cpu`, `cuda`, `cuda:1`, or `auto`: a GPU if there is one.
        threads: CPU threads; by default one per core.
        parallel: how many batches to search at the same time, dividing the threads among them,
            which is faster for many lines and slower for one. By default as many as threads with
            CTranslate2, and 1 with nmt's own engine, which forks processes for it (on a CPU, where
            processes can be forked).
        log: called with a message before a model is converted, and when it cannot be.

    Raises:
        ConfigError: if a parameter is wrong, or the models do not go together.
        FileError: if there is no model, it is damaged, or it cannot be downloaded.
    """
    check_choices(engine, compute, ensemble_weights, 1 + len(ensemble))
    names = [pin(each, log) for each in (path, *ensemble)]
    paths = [find_model(name, log) for name in names]
    model = Model(
        *open_engines(paths, ensemble_weights, engine, compute, device, threads, parallel, log)
    )
    # For `pickle`; other machines may have other numbers of cores.
    first, *others = (n if is_hub_name(n) else Path(n).absolute() for n in names)
    model._arguments = {
        **{"path": first, "ensemble": tuple(others)},
        "ensemble_weights": tuple(ensemble_weights) if ensemble_weights else None,
        **{"engine": engine, "compute": compute, "device": device},
        **{"threads": threads, "parallel": parallel},
    }
    return model


class Model:
    """A model that is ready to use, or an ensemble; made by `nmt.load`.

    Args:
        engine: the engine that runs it.
        own: nmt's own engine, for features that the other lacks; None if there is no run, or
            another engine was requested.

    Attributes:
        engine: the engine that runs it.
        config: the configuration that it was trained with (of an ensemble, the first one's).
    """

    def __init__(self, engine: Engine, own: OwnEngine | None = None) -> None:
        self.engine = engine
        self.config: Config = engine.models[0].config
        self._own = own
        self._arguments: dict[str, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments of `load`, not the weights: another process loads them itself.

        Raises:
            TypeError: if the model was not made by `load`.
        """
        if not self._arguments:
            raise TypeError("only models that `nmt.load` has returned can be pickled")
        # With the checksums, caches of results notice that a model was trained further.
        checksums = json.dumps(read_manifest(self.weights), sort_keys=True)
        return _loaded_once, (tuple(sorted(self._arguments.items())), checksums)

    @property
    def weights(self) -> Path:
        """The directory that the weights came from (of an ensemble, the first ones)."""
        return self.engine.models[0].weights

    def __repr__(self) -> str:
        names = ", ".join(str(model.weights) for model in self.engine.models)
        return f"<nmt.Model {names}>"

    def __call__(
        self, batch: Mapping[str, Sequence[Any]], key: str = "src", **options: Any
    ) -> dict[str, Any]:
        """Translate a column of a batch, for `map_batches` of Ray Data and `map` of `datasets`.

        Args:
            batch: columns by name.
            key: the column to translate.
            options: as in `translate`.

        Returns:
            The batch with the column `translation`; it has None where the source is None.

        Raises:
            DataError: if there is no such column.
            ConfigError, DataError: as in `translate`.
        """
        if key not in batch:
            raise DataError(f"`key`: no column {key!r}, only {', '.join(map(repr, batch))}")
        column = list(batch[key])
        lines = ["" if value is None else str(value) for value in column]
        texts = [each.text for each in self.translate(lines, **options)]
        pairs = zip(column, texts, strict=True)
        return {**batch, "translation": [None if src is None else text for src, text in pairs]}

    @overload
    def translate(
        self, lines: str, prefixes: str | Iterable[str] | None = None, **options: Any
    ) -> Translation: ...

    @overload
    def translate(
        self, lines: Iterable[str], prefixes: Iterable[str] | None = None, **options: Any
    ) -> list[Translation]: ...

    def translate(
        self,
        lines: str | Iterable[str],
        prefixes: str | Iterable[str] | None = None,
        **options: Any,
    ) -> Translation | list[Translation]:
        """Translate text.

        Args:
            lines: one line, or several; blank ones stay blank.
            prefixes: the beginning of the translation of each line, or of the only line. Their
                tokens are forced; scores cover the tokens after them.
            options: `constraints=[[...], ...]` lists the terms that the translation of each line
                must contain (of a single line, `[...]`); a term is a string, or a list of forms.
                `glossary` is a `nmt.translate.glossary.Glossary` or its file. `alignments=True`
                aligns the words of each translation with those of its source, `token_scores=True`
                adds the log-probability of each token, and `token_alternatives=3` the 3 most
                probable tokens at each position. `guard` is `warn`, which fills in the `flags` and
                `confidence` of translations, or `retry` or `blank`, which also change those with
                flags; see `nmt.translate.guard.guard.Guard`. `protect=["urls", ...]` copies spans
                of these kinds as they are, with a model trained with `data.placeholders`. Others
                are the fields of `nmt.config.search.SearchOptions`, such as `beam_size` and
                `tgt_lang`; those not given are as in `decode` of the model's configuration.

        Returns:
            The translation of a single line, or a list with one per line.

        Raises:
            ConfigError: if an option is unknown, out of range, or not possible with this model.
            DataError: if a line does not fit into memory even alone, or prefixes cannot be used.
        """
        if isinstance(prefixes, str):
            prefixes = [prefixes]
        if isinstance(lines, str):
            if (terms := options.pop("constraints", None)) is not None:
                options["constraints"] = [terms]
            return next(self.translate_stream([lines], prefixes, **options))
        return list(self.translate_stream(lines, prefixes, **options))

    def translate_stream(
        self,
        lines: Iterable[str],
        prefixes: Iterable[str] | None = None,
        *,
        constraints: Iterable[Iterable[str | Iterable[str]]] | None = None,
        glossary: Glossary | str | Path | None = None,
        alignments: bool = False,
        token_scores: bool = False,
        token_alternatives: int = 0,
        guard: GuardMode | None = None,
        protect: Sequence[str] = (),
        **options: Any,
    ) -> Iterator[Translation]:
        """Translate lines lazily, in order, reading ahead by a bounded number of them.

        Args:
            lines, prefixes, constraints, glossary, alignments, token_scores, token_alternatives,
                guard, protect, options: as in `translate`.
        """
        translator = self.translator(
            options,
            alignments=alignments,
            token_scores=token_scores,
            token_alternatives=token_alternatives,
            glossary=glossary,
            guard=guard,
            protect=protect,
        )
        return translator.translate(lines, prefixes, constraints=constraints)

    def translator(
        self,
        options: Mapping[str, Any],
        *,
        alignments: bool = False,
        token_scores: bool = False,
        token_alternatives: int = 0,
        poll: Callable[[], None] = lambda: None,
        warn: Log = warnings.warn,
        warn_short: Log | None = None,
        peers: Peers | None = None,
        glossary: Glossary | str | Path | None = None,
        guard: GuardMode | None = None,
        protect: Sequence[str] = (),
    ) -> Translator:
        """Return a translator with these options.

        Args:
            options: as in `translate`.
            alignments: align words.
            token_scores: add the log-probability of each token.
            token_alternatives: how many of the most probable tokens to add at each position.
            poll: called before each batch; an exception that it raises ends the translation.
            warn: called with warnings for the user.
            warn_short: called for each translation that is suspiciously short.
            peers: processes that translate the same lines together.
            glossary: required translations of terms, or the file with them.
            guard: check the translations; as in `translate`.
            protect: kinds of spans to copy; as in `translate`.
        """
        if isinstance(glossary, str | Path):
            glossary = Glossary.read(Path(glossary))
        chosen = search_options(self.config.decode, options)
        requires = glossary is not None and chosen.terms != "soft"
        engine = self._engine_for(chosen, requires, alignments, token_alternatives > 0)
        own = self._own
        replaces = own is not None and engine.cannot(chosen, terms=True) is not None
        if chosen.shortlist and self._own:
            self._check_shortlist()
        common: dict[str, Any] = {
            **{"token_scores": token_scores, "token_alternatives": token_alternatives},
            **{"poll": poll, "peers": peers, "glossary": glossary},
        }
        shared = common | {"alignments": alignments}
        protector = self._protector(protect, chosen, shared) if protect else None
        return Translator(
            engine,
            chosen,
            warn=warn,
            aligner=self._aligner_of(engine) if alignments else None,
            say_short=warn_short,
            engine_for_terms=(lambda: own.engine) if own and replaces else None,
            guard=self._guard(guard, chosen, warn, protector, shared) if guard else None,
            protector=protector,
            **common,
        )

    def _protector(
        self, kinds: Sequence[str], options: SearchOptions, shared: Mapping[str, object]
    ) -> Protector:
        """Return what replaces spans by symbols.

        Args:
            kinds: of the spans.
            options: of the search.
            shared: other arguments of the translator.
        """
        refused = [
            name for name in ("alignments", "token_alternatives", "glossary") if shared[name]
        ]
        if refused := [*refused, *(["decode.trees"] if options.trees else [])]:
            raise ConfigError(
                f"`protect` cannot be combined with {refused[0]}: the search sees symbols instead "
                "of what is protected"
            )
        return Protector(kinds, self.engine.models)

    def _aligner_of(self, engine: Engine) -> WordAligner:
        return engine if isinstance(engine, CTranslate2Engine) else self._own_aligner()

    def _engine_for(
        self, options: SearchOptions, terms: bool, alignments: bool, alternatives: bool
    ) -> Engine:
        """Return the engine for a search.

        Args:
            options: of the search.
            terms: whether terms are required.
            alignments, alternatives: whether these are wanted.

        Raises:
            ConfigError: if CTranslate2 cannot do it, and there is no other engine.
        """
        lacking = self.engine.cannot(options, terms=terms and not self._own)
        if isinstance(self.engine, CTranslate2Engine):
            if alignments and not self.engine.aligns:
                lacking = "`alignments` for exported models"
            if alternatives:
                lacking = "`token_alternatives`"
        if not lacking:
            return self.engine
        if not self._own:
            raise ConfigError(f"CTranslate2 lacks {lacking}: name a run, for nmt's own engine")
        return self._own.engine

    def _guard(
        self,
        mode: GuardMode,
        chosen: SearchOptions,
        warn: Log,
        protector: Protector | None,
        shared: dict[str, Any],
    ) -> Guard:
        """Return what checks translations.

        Args:
            mode: what it does about bad ones.
            chosen: the search options.
            warn: called with warnings for the user.
            protector: what puts symbols into sources, if anything does.
            shared: arguments of the translators that search again.
        """
        if mode not in get_args(GuardMode):
            raise ConfigError(f"`guard`: {mode!r} is none of {', '.join(get_args(GuardMode))}")
        if chosen.trees:
            raise ConfigError("`guard` cannot be combined with decode.trees: it is for text")

        def is_possible(options: SearchOptions) -> bool:
            # An exported model cannot be sampled from.
            return self._own is not None or self.engine.cannot(options) is None

        def translator_of(options: SearchOptions) -> Translator:
            return self.translator(options.model_dump(), warn=lambda message: None, **shared)

        requires = shared["glossary"] is not None and chosen.terms != "soft"
        retries = [
            Retry(partial(translator_of, options), not options.samples)
            for options in retried_options(chosen)
            if is_possible(options) and not (options.samples and requires)
        ]
        calibration = read_calibration(find_run(self.weights), self.weights)
        data = self.config.data
        languages = LanguagePair(chosen.src_lang or data.src_lang, chosen.tgt_lang or data.tgt_lang)
        return Guard(
            mode,
            languages,
            calibration=calibration,
            retries=retries,
            protector=protector,
            note=warn,
        )

    def aligns(self, options: Mapping[str, Any]) -> bool:
        """Return whether the model can align words; an exported one may be unable to.

        Args:
            options: as in `translate`.
        """
        try:
            self.translator(options, alignments=True)
        except ConfigError:
            return False
        return True

    def read_document(
        self, path: Path | None, options: Mapping[str, Any], layout: str | None = None
    ) -> Translatable:
        """Read a document in the source language, as `nmt.documents.formats.read_document`.

        Args:
            path: the file; None for standard input.
            options: as in `translate`.
            layout: the format; by default the ending of `path` tells.
        """
        from nmt.documents.formats import read_document

        return read_document(path, options.get("src_lang") or self.config.data.src_lang, layout)

    def document_translator(
        self, document: Translatable, options: Mapping[str, Any], **more: Any
    ) -> Translator:
        """Return a translator for a document.

        Args:
            document: what `read_document` returns.
            options: as in `translate`; each sentence is translated separately by default.
            more: as in `translator`.
        """
        options = {"split_sentences": not self.config.decode.trees, **options}
        aligns = document.has_markup and self.aligns(options)
        return self.translator(options, alignments=aligns, **more)

    def translate_document(
        self, path: str | Path, output: str | Path, layout: str | None = None, **options: Any
    ) -> None:
        """Translate a document, keeping its structure and inline tags.

        Args:
            path: the document.
            output: where its translation goes.
            layout: one of `nmt.documents.formats.FORMATS`; by default the ending of `path` tells.
            options: as in `translate`.

        Raises:
            ConfigError: if the format or an option is wrong.
            DataError: if the document is damaged.
            FileError: if it cannot be read, or its translation cannot be written.
        """
        from nmt.documents.translation import translate_document

        document = self.read_document(Path(path), options, layout)
        content = translate_document(document, self.document_translator(document, options))
        with writing(Path(output)) as file:
            file.write(content)

    def _check_shortlist(self) -> None:
        """Fail now rather than in the first batch."""
        from nmt.runs.shortlist import load_shortlist

        load_shortlist(find_run(self.weights), self.engine.models[0].tokenizers)

    def alternatives(
        self, src: str, prefix: str = "", *, num: int = 5, **options: Any
    ) -> list[Alternative]:
        """Return the likeliest words after the beginning of a translation.

        Args:
            src: the source line; if it is blank, there are none.
            prefix: the beginning, which may be empty. After a space a new word begins; otherwise
                the last word of the prefix may continue.
            num: the largest number of words.
            options: of the search, as in `translate`.

        Returns:
            The words, the likeliest first, each with its probability and the best translation that
            begins with it. The end of the translation counts as an empty word.

        Raises:
            ConfigError: if an option is unknown, out of range, or not possible here.
            DataError: if the line is too long to be translated in one part, or `prefix` cannot be
                used.
        """
        from nmt.translate.alternatives import next_words

        return next_words(self.translator(options), src, prefix, num)

    @overload
    def score(  # type: ignore[overload-overlap]  # a str is an Iterable[str], too
        self,
        src: str,
        tgt: str,
        *,
        batch_tokens: int | None = ...,
        src_lang: str | None = ...,
        tgt_lang: str | None = ...,
    ) -> PairScore: ...

    @overload
    def score(
        self,
        src: Iterable[str],
        tgt: Iterable[str],
        *,
        batch_tokens: int | None = ...,
        src_lang: str | None = ...,
        tgt_lang: str | None = ...,
    ) -> list[PairScore]: ...

    def score(
        self,
        src: str | Iterable[str],
        tgt: str | Iterable[str],
        *,
        batch_tokens: int | None = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
    ) -> PairScore | list[PairScore]:
        """Return the probabilities that the model assigns to given translations.

        Args:
            src: the source line, or several.
            tgt: its translation, or theirs.
            batch_tokens: size of a batch on either side, in tokens with padding.
            src_lang, tgt_lang: as in `translate`.

        Raises:
            ConfigError: if the model does not know a language.
            DataError: if one side has more lines, or a pair has more tokens than the model has
                positions.
        """
        is_one = isinstance(src, str) and isinstance(tgt, str)
        if is_one:
            src, tgt = [str(src)], [str(tgt)]
        scores = self.score_stream(
            src, tgt, batch_tokens=batch_tokens, src_lang=src_lang, tgt_lang=tgt_lang
        )
        return next(scores) if is_one else list(scores)

    def score_stream(
        self,
        src: Iterable[str],
        tgt: Iterable[str],
        *,
        batch_tokens: int | None = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        languages: Iterable[LanguagePair] | None = None,
        advance: Advance = lambda pairs: None,
    ) -> Iterator[PairScore]:
        """Score pairs lazily, in order.

        Args:
            src, tgt, batch_tokens, src_lang, tgt_lang: as in `score`.
            languages: those of each pair, instead of `src_lang` and `tgt_lang`.
            advance: called with the number of pairs scored since the last call.
        """
        budget = batch_tokens or self.config.decode.batch_tokens
        chosen = self._languages(src_lang, tgt_lang)
        languages = itertools.repeat(chosen) if languages is None else languages
        return score_pairs(self.engine, src, tgt, budget, advance, languages)

    def _languages(self, src_lang: str | None, tgt_lang: str | None) -> LanguagePair:
        """Return the languages of an input, after checking that the model knows them."""
        tagger = Tagger(self.config.data, self.engine.models[0].tokenizers.src)
        pair = tagger.chosen(src_lang, tgt_lang)
        if src_lang or tgt_lang:
            tagger.ids(pair)
        return pair

    def align(
        self,
        src: Sequence[str],
        tgt: Sequence[str],
        *,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
    ) -> list[Links]:
        """Align the words of sentence pairs.

        Args:
            src: source lines.
            tgt: their translations.
            src_lang, tgt_lang: as in `translate`.

        Returns:
            For each pair the (source word, target word) numbers that belong together, from 0.

        Raises:
            ConfigError: if the model is not a Transformer of nmt's own engine, or `src` and `tgt`
                differ in length.
        """
        if len(src) != len(tgt):
            raise ConfigError(f"`src` has {len(src)} lines, but `tgt` has {len(tgt)}")
        languages = self._languages(src_lang, tgt_lang)
        return list(self._own_aligner().align(list(zip(src, tgt, strict=True)), languages))

    def _own_aligner(self) -> Aligner:
        if not self._own:
            raise ConfigError("alignment needs a run: it comes from nmt's own engine")
        from nmt.translate.align import Aligner

        return Aligner(self._own.models)

    def attend(
        self,
        src: str,
        tgt: str | None = None,
        *,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
    ) -> PairAttention:
        """Return the attention weights of every layer and head for a sentence pair.

        Args:
            src: the source sentence.
            tgt: its translation; by default the model's own.
            src_lang, tgt_lang: as in `translate`.

        Raises:
            ConfigError: if the model is an ensemble, exported, or not a Transformer.
            DataError: if a sentence has no text, or more tokens than the model has positions.
        """
        from nmt.translate.attend import pair_attention

        if not self._own or len(self._own.models) != 1:
            raise ConfigError("attention needs one run, not an ensemble or an exported model")
        languages = self._languages(src_lang, tgt_lang)
        return pair_attention(self._own.models[0], src, tgt, languages)


@cache
def _loaded_once(arguments: tuple[tuple[str, Any], ...], checksums: str) -> Model:
    """Load a model once per process, no matter how many batches carry it."""
    return load(**dict(arguments))


def train(
    config: str | Path | Config | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    run_dir: str | Path | None = None,
    console: Console | None = None,
) -> Path:
    """Train a model, or continue a training run that was stopped.

    Under torchrun, all processes train one model together.

    Args:
        config: a YAML file, or its content as a mapping or `Config`.
        overrides: changes to it, as `"train.max_steps=200"` or `{"train.max_steps": 200}`.
        run_dir: the directory of the model. By default `runs/` and the name of the file.
        console: shows progress; by default on standard error.

    Returns:
        The run directory, for `nmt.load`.

    Raises:
        ConfigError: if the configuration is wrong, or the directory holds another run.
        DataError: if the corpora cannot be used.
        FileError: if something cannot be read or written.
        TrainingError: if the loss or the gradient is not finite.
        PeerError: under torchrun, if another process has failed.
        Interrupted: if a signal stopped training; the state has been saved.
    """
    resolved = _resolve(config, overrides)
    run = _run_directory(config, run_dir)
    from nmt.check.checks import before_training
    from nmt.console import Console
    from nmt.distributed import World
    from nmt.training.run import train as train_run

    shown = console or Console(stderr=True)
    with World.join(resolved.train.device, resolved.train.peer_timeout) as world:
        if not world.leads:
            shown = Console(quiet=True)
        train_run(resolved, run, shown, inspect=before_training, world=world)
    if world.leads:
        if resolved.train.tune_decode:
            tune_decode_once(run, resolved.train.tune_decode, shown.print_line)
        compare_int8(run, shown.print_line)
    return run


def distill(
    teacher: str | Path,
    config: str | Path | Config | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    run_dir: str | Path | None = None,
    text: str | Path | None = None,
    candidates: int = 4,
    beam_size: int | None = None,
    only_distilled: bool = False,
    console: Console | None = None,
    **computing: Any,
) -> Path:
    """Train a student on the translations of a teacher, or continue where this was stopped.

    The student learns from the original pairs and the teacher's translations of their sources. It
    starts from the teacher's weights if only the number of layers and the dropout differ.

    Args:
        teacher: a model as in `load`, or a YAML configuration, from which it is trained first, with
            those overrides that change `data`.
        config, overrides, run_dir: of the student, as in `train`.
        text: where the translations go, by default `RUN.distilled.jsonl`; one per language pair.
        candidates: translations of each source to choose from, by sentence BLEU.
        beam_size: of the teacher; by default as in its `decode`, or `candidates` if that is more.
        only_distilled: train on the translations alone.
        console: as in `train`.
        computing: `engine`, `compute`, `device` and `threads` of the teacher, as in `load`.

    Returns:
        The run directory of the student, for `load`.

    Raises:
        ConfigError, DataError, FileError, TrainingError, Interrupted: as in `train`.
    """
    overrides = _as_strings(overrides)
    resolved, run = _resolve(config, overrides), _run_directory(config, run_dir)
    from nmt.console import Console
    from nmt.training.continuing import check_settings
    from nmt.training.distillation import distill_corpora, start_from_teacher, student_config
    from nmt.training.run import is_begun

    shown = console or Console(stderr=True)
    teacher = pin(teacher, shown.print_line)
    if Path(teacher).is_file():
        of_data = [change for change in overrides if change.startswith("data.")]
        teacher = train(teacher, of_data, console=shown)
    output = Path(text) if text else run.with_name(f"{run.name}.distilled.jsonl")

    def load_teacher() -> Translator:
        model = load(teacher, log=shown.print_line, **computing)
        width = beam_size or max(model.config.decode.beam_size, candidates)
        return model.translator({"nbest": candidates, "beam_size": width}, warn=shown.print_line)

    student = student_config(resolved, output, only_distilled=only_distilled)
    student = start_from_teacher(student, teacher, run, shown.print_line)
    if is_begun(run):
        check_settings(student, run)  # now rather than after hours of translation
    distill_corpora(load_teacher, resolved, output, shown.print_line)
    return train(student, run_dir=run, console=shown)


def backtranslate(
    config: str | Path | Config | Mapping[str, Any],
    overrides: Sequence[str] | Mapping[str, Any] = (),
    *,
    mono: Sequence[str | Path],
    src_mono: Sequence[str | Path] = (),
    rounds: int = 1,
    reverse: str | Path | None = None,
    run_dir: str | Path | None = None,
    output: str | Path | None = None,
    synthetic: SyntheticOptions | None = None,
    search: Mapping[str, Any] | None = None,
    console: Console | None = None,
    **computing: Any,
) -> Path:
    """Train with monolingual text by back-translation, or continue where this was stopped.

    Args:
        config, overrides: of the model, as in `train`; of the reverse model with exchanged sides.
        mono, src_mono: files of text in the target language, and in the source language for
            `rounds` above 1.
        rounds: how many times to train a reverse and a forward model, in turn.
        reverse: the first reverse model, as in `load`, instead of training it.
        run_dir: of the model; by default `runs/`, the name of the configuration and `-bt`.
        output: write the last synthetic pairs there, as JSON lines, and train no model on them.
        synthetic: which synthetic pairs to keep, and how to mix them with real ones.
        search: options of the translations, as in `Model.translate`.
        console: as in `train`.
        computing: `engine`, `compute`, `device` and `threads`, as in `load`.

    Returns:
        `output`, or the run directory of the model, for `load`.

    Raises:
        NmtError: as in `train`, and `nmt.training.backtranslation.backtranslate`.
    """
    resolved, run = _resolve(config, overrides), _run_directory(config, run_dir)
    from nmt.console import Console
    from nmt.training.backtranslation import BackTranslation
    from nmt.training.backtranslation import backtranslate as teach

    shown = console or Console(stderr=True)
    job = BackTranslation(
        config=resolved,
        run=run if run_dir else run.with_name(f"{run.name}-bt"),
        mono=[Path(path) for path in mono],
        src_mono=[Path(path) for path in src_mono],
        rounds=rounds,
        reverse=find_model(pin(reverse, shown.print_line), shown.print_line) if reverse else None,
        output=Path(output) if output else None,
        synthetic=synthetic or SyntheticOptions(),
        search=search or {},
    )

    def load_translator(model: Path, options: Mapping[str, Any]) -> Translator:
        loaded = load(model, log=shown.print_line, **computing)
        return loaded.translator(options, warn=shown.print_line)

    teach(job, partial(train, console=shown), load_translator, shown)
    return job.output or job.run


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
        return translator.translate(text.sources, languages=text.languages)

    with locked(run, "wait for it"):
        model = load(run, device=device, threads=threads, log=log)
        tuning = tune(translate, text.references, config, checksum(model.weights), log)
        save_tuning(run, tuning)
    return tuning


def calibrate(
    run: str | Path, *, device: str = "auto", threads: int | None = None, log: Log = lambda m: None
) -> tuple[Calibration, list[Bin]]:
    """Fit the confidence in translations of a run to its validation text.

    Translations under guard then have a confidence. It is of these weights: other checkpoints and
    new averages have none.

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
            t.hypotheses[0] for t in translator.translate(text.sources, languages=text.languages)
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


def _run_directory(
    config: str | Path | Config | Mapping[str, Any], run_dir: str | Path | None
) -> Path:
    if run_dir is not None:
        return Path(run_dir)
    if isinstance(config, str | Path):
        return Path("runs") / Path(config).stem
    raise ConfigError("`run_dir` is needed where the configuration is not a file")


def _as_strings(overrides: Sequence[str] | Mapping[str, Any]) -> Sequence[str]:
    if isinstance(overrides, Mapping):
        return [f"{key}={json.dumps(value)}" for key, value in overrides.items()]
    return overrides


def _resolve(
    config: str | Path | Config | Mapping[str, Any], overrides: Sequence[str] | Mapping[str, Any]
) -> Config:
    overrides = _as_strings(overrides)
    if isinstance(config, str | Path):
        return load_config(config, overrides)
    values = config.model_dump() if isinstance(config, Config) else config
    return make_config(values, overrides)


def evaluate(
    hypotheses: Sequence[str],
    references: Sequence[str] | Sequence[Sequence[str]],
    *,
    metrics: Sequence[str] = ("bleu", "chrf"),
    lowercase: bool = False,
    tokenize: str | None = None,
    tgt_lang: str = "",
    confidence: bool = False,
) -> list[Score]:
    """Score translations with sacreBLEU.

    Args:
        hypotheses: detokenized translations.
        references: a list with one reference per hypothesis, or several such lists.
        metrics: any of `bleu`, `chrf` and `ter`, or `bracket-f1` for parses.
        lowercase: ignore case in BLEU and chrF.
        tokenize: BLEU's tokenizer; by default sacreBLEU's for `tgt_lang`.
        tgt_lang: code of the target language; zh, ja and ko have their own tokenizers.
        confidence: estimate 95 % confidence intervals by bootstrap.

    Returns:
        One score per metric, with its signature.

    Raises:
        ConfigError: if a metric or setting is unknown.
        DataError: if the numbers of lines differ.
    """
    from nmt.evaluation import metrics as scoring

    one = all(isinstance(lines, str) for lines in references)
    several = [references] if references and one else references
    options = scoring.EvaluateOptions(metrics, lowercase, tokenize, tgt_lang, confidence)
    return scoring.evaluate(hypotheses, cast(Sequence[Sequence[str]], several), options)
