"""Test data: text files, the test corpora of a configuration, and sacreBLEU's test sets."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.config.languages import LanguagePair
from nmt.config.schema import Config
from nmt.data.corpus import read_pairs
from nmt.data.history import History
from nmt.data.lines import read_lines
from nmt.errors import ConfigError, DataError, FileError


@dataclass(frozen=True)
class EvaluationData:
    """A source text and its reference translations.

    Attributes:
        src: source lines; empty if only references were given.
        refs: one or more lists of reference lines.
        tgt_lang: code of the target language; empty if unknown.
        languages: those of each line; empty if the model's are meant.
        contexts: the sentences before each line; None if they are the lines before it.
    """

    src: list[str]
    refs: list[list[str]]
    tgt_lang: str
    languages: Sequence[LanguagePair] = ()
    contexts: Sequence[tuple[str, ...]] | None = None


def read_test_data(
    config: Config | None,
    *,
    src: Path | None = None,
    refs: Sequence[Path] = (),
    test_set: str | None = None,
    langs: str | None = None,
    tgt_lang: str | None = None,
    src_lang: str | None = None,
) -> EvaluationData:
    """Read a sacreBLEU test set, the given files or, by default, `data.test`.

    Args:
        config: configuration of the model that will translate. Without it, references suffice.
        src: file with the source text.
        refs: files with reference translations.
        test_set: name of a sacreBLEU test set.
        langs: language pair of the test set; defaults to that of config.
        tgt_lang, src_lang: languages of the files; default to those of config.

    Raises:
        ConfigError: if the arguments conflict, or specify no test data.
        DataError: if the files differ in length or contain invalid text.
        FileError: if a file cannot be read or a test set cannot be downloaded.
    """
    if test_set is not None:
        if src or refs:
            raise ConfigError("`test_set` has a source and references: leave out `src` and `ref`")
        if langs is None and config is None:
            raise ConfigError("`test_set` needs `langs`, for example en-de")
        langs = langs or _languages(config, src_lang, tgt_lang)
        lines, ref_lines = read_test_set(test_set, langs)
        pair = LanguagePair(*langs.rpartition("-")[::2])
        languages = [] if src_lang or tgt_lang else [pair] * len(lines)
        contexts = _contexts(config, test_set, langs, lines)
        return EvaluationData(lines, ref_lines, pair.tgt, languages, contexts)
    if langs is not None:
        raise ConfigError("`langs` needs `test_set`")
    if refs:
        if config and not src:
            raise ConfigError("`ref` needs `src` with the text to translate")
        references = [list(read_lines(ref, keep_bom=True)) for ref in refs]
        sources = list(read_lines(src)) if src else []
        for ref, lines in zip(refs, references, strict=True):
            if src and len(lines) != len(sources):  # fail before translating, not after
                raise DataError(f"{src} has {len(sources)} lines, but {ref} has {len(lines)}")
        return EvaluationData(
            sources, references, tgt_lang or (config.data.tgt_lang if config else "")
        )
    if src or config is None:
        raise ConfigError("no references: give `ref` or `test_set`")
    if not config.data.test:
        raise ConfigError("the model's configuration has no data.test: give `src` and `ref`")
    if tgt_lang or src_lang:
        raise ConfigError(
            "`tgt_lang` and `src_lang` are for text in files: the corpora of data.test have their "
            "own languages; give `src` and `ref`"
        )
    return read_corpora(config.data.test, config.data)


def read_corpora(corpora: Sequence[AnyCorpus], data: DataConfig) -> EvaluationData:
    """Read corpora as test data with one reference.

    Raises:
        DataError, FileError: as in `nmt.data.corpus.read_pairs`.
    """
    found = [
        (pair, data.pair_of(corpus)) for corpus in corpora for pair in read_pairs(corpus, data)
    ]
    languages = [pair for _, pair in found]
    only = {pair.tgt for pair in languages}
    return EvaluationData(
        [pair.src for pair, _ in found],
        [[pair.tgt for pair, _ in found]],
        only.pop() if len(only) == 1 else data.tgt_lang,
        languages,
        [pair.context for pair, _ in found],
    )


def _languages(config: Config | None, src_lang: str | None, tgt_lang: str | None) -> str:
    assert config is not None
    return f"{src_lang or config.data.src_lang}-{tgt_lang or config.data.tgt_lang}"


def _contexts(
    config: Config | None, name: str, langs: str, lines: Sequence[str]
) -> list[tuple[str, ...]] | None:
    """Return the lines before each line of a test set that names its documents; otherwise None.

    Args:
        config: of the model; without `data.context`, nothing is read.
        name, langs: of the test set.
        lines: its source.
    """
    if config is None or not config.data.context:
        return None
    from sacrebleu.dataset import DATASETS

    dataset: Any = DATASETS[name]
    files = dict(zip(dataset.fieldnames(langs), dataset.get_files(langs), strict=True))
    documents = [*read_lines(files["docid"])] if "docid" in files else []
    if len(documents) != len(lines):
        return None
    history = History(config.data.context)
    contexts = []
    for place, line in enumerate(lines):
        if place and documents[place] != documents[place - 1]:
            history.clear()
        contexts.append(history.before(line))
    return contexts


def read_test_set(name: str, langs: str) -> tuple[list[str], list[list[str]]]:
    """Read a sacreBLEU test set, downloading it on first use.

    Args:
        name: name of the test set, for example `wmt14/full`.
        langs: language pair, for example `en-de`.

    Returns:
        The source lines, and one or more lists of reference lines.

    Raises:
        ConfigError: if sacreBLEU has no such test set, or not in these languages.
        FileError: if the test set cannot be downloaded.
    """
    from sacrebleu.dataset import DATASETS

    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=5, cutoff=0.3)
        raise ConfigError(
            f"sacreBLEU has no test set {name!r}; similar names: {', '.join(close) or 'none'}; "
            "`sacrebleu --list` prints all of them"
        )
    dataset: Any = DATASETS[name]
    if langs not in dataset.langpairs:
        known = ", ".join(sorted(dataset.langpairs))
        raise ConfigError(f"test set {name} has no language pair {langs!r}; available: {known}")
    try:
        src, refs = dataset.get_source_file(langs), dataset.get_reference_files(langs)
    # sacreBLEU calls sys.exit on some failures, and a damaged archive can raise anything.
    except (Exception, SystemExit) as error:
        raise FileError(
            f"cannot download test set {name} {langs}: {error}; on a machine with network access, "
            f"run `sacrebleu --download {name} --language-pair {langs}` and copy the directory it "
            "fills ($SACREBLEU, by default ~/.sacrebleu)"
        ) from error
    return list(read_lines(src)), [list(read_lines(ref, keep_bom=True)) for ref in refs]
