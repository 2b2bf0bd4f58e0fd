"""Models: translate, score, align, show attention."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, overload

from nmt.api.engine_choice import EngineChoice
from nmt.config.languages import LanguagePair
from nmt.config.schema import Config
from nmt.config.search import SearchOptions, search_options
from nmt.data.tags import Tagger
from nmt.engines import Log, OwnEngine, check_choices, open_engines
from nmt.errors import ConfigError, DataError
from nmt.files import writing
from nmt.hub.models import find_model, pin
from nmt.hub.names import is_hub_name
from nmt.progress import Advance
from nmt.runs.calibration import read_calibration
from nmt.runs.layout import find_run
from nmt.runs.manifest import read_manifest
from nmt.translate.engine import Engine
from nmt.translate.glossary import Glossary
from nmt.translate.score import PairScore, score_pairs
from nmt.translate.source import refuse_string
from nmt.translate.translation import Translation
from nmt.translate.translator import Translator
from nmt.translate.words import Links

if TYPE_CHECKING:  # these need torch, which takes a second to import
    from nmt.documents.document import Translatable
    from nmt.translate.alternatives import Alternative
    from nmt.translate.attend import PairAttention
    from nmt.translate.guard.guard import Guard, GuardMode
    from nmt.translate.part_search import Peers
    from nmt.translate.protect import Protector


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
            which is faster for many lines and slower for one. By default one per thread with
            CTranslate2, and 1 with nmt's own engine, which forks a process for each (on a CPU, if
            the system can fork).
        log: called with a message before a model is converted, and when it cannot be.

    Raises:
        ConfigError: if a parameter is wrong, or the models do not go together.
        FileError: if there is no model, it is damaged, or it cannot be downloaded.
    """
    check_choices(engine, compute, threads, parallel, ensemble_weights, 1 + len(ensemble))
    names = [pin(each, log) for each in (path, *ensemble)]
    paths = [find_model(name, log) for name in names]
    model = Model(
        *open_engines(paths, ensemble_weights, engine, compute, device, threads, parallel, log)
    )
    # For `pickle`; other machines may have other numbers of cores.
    first, *others = (n if is_hub_name(n) else Path(n).absolute() for n in names)
    model._arguments = {
        "path": first,
        "ensemble": tuple(others),
        "ensemble_weights": tuple(ensemble_weights) if ensemble_weights else None,
        "engine": engine,
        "compute": compute,
        "device": device,
        "threads": threads,
        "parallel": parallel,
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
        self._engines = EngineChoice(engine, own)
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
                `contexts=[[...], ...]` lists the sentences before each line (of a single line,
                `[...]`), for a model trained with `data.context`; by default they are the lines
                before it, up to a blank one.
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
            DataError: if a line is not valid text or does not fit into memory even alone, or
                prefixes cannot be used.
        """
        if isinstance(prefixes, str):
            prefixes = [prefixes]
        if isinstance(lines, str):
            for name in ("constraints", "contexts"):
                if (of_line := options.pop(name, None)) is not None:
                    options[name] = [of_line]
            return next(self.translate_stream([lines], prefixes, **options))
        return list(self.translate_stream(lines, prefixes, **options))

    def translate_stream(
        self,
        lines: Iterable[str],
        prefixes: Iterable[str] | None = None,
        *,
        constraints: Iterable[Iterable[str | Iterable[str]]] | None = None,
        contexts: Iterable[Iterable[str]] | None = None,
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
            lines, prefixes, constraints, contexts, glossary, alignments, token_scores,
                token_alternatives, guard, protect, options: as in `translate`.

        Raises:
            ConfigError, DataError: as in `translate`.
            DataError: if a string is given in place of a list.
        """
        refuse_string(lines, "`lines`", "lines")
        refuse_string(prefixes, "`prefixes`", "prefixes, one for each line")
        translator = self.translator(
            options,
            alignments=alignments,
            token_scores=token_scores,
            token_alternatives=token_alternatives,
            glossary=glossary,
            guard=guard,
            protect=protect,
        )
        return translator.translate(lines, prefixes, constraints=constraints, contexts=contexts)

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
        engine = self._engines.for_search(
            chosen,
            terms=glossary is not None and chosen.terms != "soft",
            alignments=alignments,
            alternatives=token_alternatives > 0,
        )
        common: dict[str, Any] = {
            "token_scores": token_scores,
            "token_alternatives": token_alternatives,
            "poll": poll,
            "peers": peers,
            "glossary": glossary,
        }
        shared = common | {"alignments": alignments}
        protector = self._protector(protect, chosen, shared) if protect else None
        return Translator(
            engine,
            chosen,
            warn=warn,
            aligner=self._engines.aligner(engine) if alignments else None,
            warn_short=warn_short,
            engine_for_terms=self._engines.for_terms(engine, chosen),
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
        from nmt.translate.protect import Protector

        wanted = {name: shared[name] for name in ("alignments", "token_alternatives", "glossary")}
        wanted["decode.trees"] = options.trees
        if refused := [name for name, value in wanted.items() if value]:
            raise ConfigError(
                f"`protect` cannot be combined with {refused[0]}: the search sees symbols instead "
                "of what is protected"
            )
        return Protector(kinds, self.engine.models)

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
        from nmt.translate.guard.guard import Guard, GuardMode, retries_of

        if mode not in get_args(GuardMode):
            raise ConfigError(f"`guard`: {mode!r} is none of {', '.join(get_args(GuardMode))}")
        if chosen.trees:
            raise ConfigError("`guard` cannot be combined with decode.trees: it is for text")

        def translator_of(options: SearchOptions) -> Translator:
            return self.translator(options.model_dump(), warn=lambda message: None, **shared)

        retries = retries_of(
            chosen,
            translator_of,
            requires_terms=shared["glossary"] is not None and chosen.terms != "soft",
            can_search=self._engines.can_search,
        )
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
            DataError: if the line is not valid text or too long to be translated in one part, or
                `prefix` cannot be used.
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
            DataError: if one side has more lines, only one side is a string, or a pair is not valid
                text or has more tokens than the model has positions.
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

        Raises:
            ConfigError, DataError: as in `score`.
            DataError: if a string is given in place of a list.
        """
        _refuse_strings(src, tgt)
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
            DataError: if one of them is a string, or a pair is not valid text or has more
                tokens than the model has positions.
        """
        _refuse_strings(src, tgt)
        if len(src) != len(tgt):
            raise ConfigError(f"`src` has {len(src)} lines, but `tgt` has {len(tgt)}")
        languages = self._languages(src_lang, tgt_lang)
        return list(self._engines.own_aligner().align(list(zip(src, tgt, strict=True)), languages))

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

        model = self._engines.single_model()
        languages = self._languages(src_lang, tgt_lang)
        return pair_attention(model, src, tgt, languages)


def _refuse_strings(src: object, tgt: object) -> None:
    for side, lines in (("src", src), ("tgt", tgt)):
        refuse_string(lines, f"`{side}`", "lines")


@cache
def _loaded_once(arguments: tuple[tuple[str, Any], ...], checksums: str) -> Model:
    """Load a model once per process, no matter how many batches carry it."""
    return load(**dict(arguments))
