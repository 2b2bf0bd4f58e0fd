"""Tags of languages and of corpora as tokens of a vocabulary.

A tag is a control symbol: SentencePiece has an id for it, but never finds it in text. So a user's
text that contains `<2de>` is tokenized as any other text and cannot pass for a tag.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nmt.config.corpora import AnyCorpus
from nmt.config.data import DataConfig
from nmt.config.denoise import MASK
from nmt.config.languages import LanguagePair, tag_symbol
from nmt.config.schema import Config
from nmt.data.context import SEPARATOR
from nmt.data.terms import TERM
from nmt.data.tokenizer import Tokenizer
from nmt.errors import ConfigError


class Tagger:
    """Returns the tags in front of a source.

    Args:
        data: `tags`, and the languages of a source that has no others.
        tokenizer: of the source side.
    """

    num_tags: int
    """Number of language tags of each source."""

    def __init__(self, data: DataConfig, tokenizer: Tokenizer) -> None:
        self._data, self._tokenizer = data, tokenizer
        self.default = LanguagePair(data.src_lang, data.tgt_lang)
        self.num_tags = data.num_tags

    def ids(self, pair: LanguagePair) -> list[int]:
        """Return the ids of the tags of a language pair, in order.

        Raises:
            ConfigError: if the vocabulary lacks one; the message lists those that it has.
        """
        known = self._tokenizer.control_symbols if self.num_tags else {}
        tags = self._data.tags_of(pair)
        for option, tag, code in zip(
            ("tgt_lang", "src_lang"), tags[::-1], pair[::-1], strict=False
        ):
            if tag not in known:
                codes = ", ".join(self._known(option)) or "none"
                raise ConfigError(f"`{option}`: the model does not know {code!r}; it knows {codes}")
        return [known[tag] for tag in tags]

    def ids_of(self, corpus: AnyCorpus) -> list[int]:
        """Return the ids of the tags in front of the sources of a training corpus.

        Raises:
            ConfigError: if the vocabulary lacks one.
        """
        languages = self.ids(self._data.pair_of(corpus))
        if not corpus.tag:
            return languages
        symbol = tag_symbol(corpus.tag)
        if symbol not in self._tokenizer.control_symbols:
            raise ConfigError(
                f"data.train: the vocabulary of the run lacks {symbol}: it began without a corpus "
                f"with tag: {corpus.tag}; remove the tag, or use another `run_dir`"
            )
        return [self._tokenizer.control_symbols[symbol], *languages]

    def chosen(self, src_lang: str | None, tgt_lang: str | None) -> LanguagePair:
        """Return the pair of a source in these languages, None being the default.

        Raises:
            ConfigError: if a language is given that no tag tells the model.
        """
        if tgt_lang is not None and self._data.tags == "none":
            raise ConfigError(
                f"`tgt_lang`: this model was trained without language tags and translates from "
                f"{self.default.src} to {self.default.tgt}; data.tags=target trains one that can "
                "be told the language"
            )
        if src_lang is not None and self._data.tags != "both":
            raise ConfigError(
                "`src_lang`: this model is not told the source language: leave it out, or train "
                "with data.tags=both"
            )
        return LanguagePair(src_lang or self.default.src, tgt_lang or self.default.tgt)

    def _known(self, option: str) -> list[str]:
        """Return the codes of the languages with a tag of one side."""
        known = self._tokenizer.control_symbols
        # Tags of languages are the first ids. Behind all pieces of text are symbols that were added
        # later: tags of new languages, but also those of the corpora of `train.init_from`.
        first = min(known.values(), default=0)
        symbols = {symbol for place, symbol in enumerate(known) if known[symbol] == first + place}
        symbols |= {symbol for symbol in known if symbol.startswith("<2")}
        symbols |= known.keys() & {*self._data.train_tags}
        symbols -= {MASK, SEPARATOR, TERM, *self._data.corpus_tags}
        inner = [symbol[1:-1] for symbol in symbols]
        if option == "tgt_lang":
            return sorted(code[1:] for code in inner if code.startswith("2"))
        return sorted(code for code in inner if not code.startswith("2"))


def check_tags(config: Config, tokenizer: Tokenizer) -> None:
    """Check that a vocabulary has the tags of the corpora for validation and tests.

    Args:
        config: of a run.
        tokenizer: of its source side, with the tags of all training corpora.

    Raises:
        ConfigError: if it lacks some; the message lists them.
    """
    data = config.data
    corpora: Iterable[Any] = [*data.valid_corpora, *data.test]
    needed = dict.fromkeys(tag for corpus in corpora for tag in data.tags_of(data.pair_of(corpus)))
    if missing := [tag for tag in needed if tag not in tokenizer.control_symbols]:
        source = "train.init_from" if config.train.init_from else "the SentencePiece model"
        raise ConfigError(
            f"data.tags: no corpus of data.train needs {', '.join(missing)}, nor does {source} "
            "have it: check src_lang and tgt_lang of data.valid and data.test"
        )
