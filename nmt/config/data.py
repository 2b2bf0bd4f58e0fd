"""The section `data`: parallel text, and which of its pairs are used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from nmt.config.augment import AugmentConfig
from nmt.config.corpora import AnyCorpus, Corpora, Corpus, TextCorpus, TrainCorpora
from nmt.config.languages import LanguagePair, TagKind, is_usable, tag_symbol, tags_of
from nmt.config.placeholders import PlaceholderKind
from nmt.config.section import Length, Section
from nmt.config.terms import TermsConfig
from nmt.config.validation import ValidCorpora
from nmt.limits import MAX_CONTEXT


class DataConfig(Section):
    """The parallel text, and which of its pairs are used."""

    src_lang: str
    """Code of the source language, for example `en`; corpora may have others."""
    tgt_lang: str
    """Code of the target language, for example `de`; corpora may have others."""
    train: TrainCorpora
    """The corpora to train on, or sets of them by name, as in `{general: {src: FILE, tgt: FILE},
    domain: {src: FILE, tgt: FILE}}`, for `train.stages`. Only an imported model may have none."""
    valid: ValidCorpora = Field(default=[])
    """The corpora used to choose the best checkpoint and to stop early. Or several sets of them by
    name, as in `{general: {src: FILE, tgt: FILE}, domain: {src: FILE, tgt: FILE}}`, which are
    validated one by one; figures without a name, such as the loss, are then of the first set."""
    test: Corpora = Field(default=[])
    """The corpora that `nmt evaluate MODEL` uses if no files are given."""
    tags: TagKind = "none"
    """Tell the model the languages by tokens in front of the source: `target` is `<2de>`, `both`
    is `<en> <2de>`. For corpora in several languages."""
    terms: TermsConfig | None = None
    """Append some words of the target to the source of training pairs, so that the model learns to
    use given terms, for `decode.terms: soft`; `{}` for the defaults."""
    placeholders: list[PlaceholderKind] = Field(default=[])
    """Replace spans of these kinds that occur on both sides of a training pair by symbols, in half
    of the pairs, so that the model learns to copy them, for the option `protect` of translation:
    urls, emails, numbers, emoji, and placeholders (such as {name}, %s and <0/>)."""
    augment: AugmentConfig | None = None
    """Change some training pairs so that the model copes with capitals, typing errors, missing
    punctuation or several sentences in a line: `{upper: 0.05, typos: 0.05}`."""
    sampling_temperature: Annotated[float, Field(ge=1.0, le=1000.0)] = 1.0
    """Above 1, an epoch visits the pairs of small language pairs more often: a language pair of n
    pairs in proportion to n ** (1 / temperature). The largest is visited as its weights say."""
    context: Annotated[int, Field(ge=0, le=MAX_CONTEXT)] = 0
    """Number of previous source sentences of the same document before each source (Tiedemann and
    Scherrer 2017). A blank source line begins a new document. Each epoch draws how many of them a
    training pair keeps; as many as fit into `max_length`. Translation has them, too."""
    max_length: Length = 256
    """Maximum length of a sentence in tokens, EOS included. Training pairs with a longer side are
    dropped; longer text to translate is split at sentence ends."""
    max_length_ratio: Annotated[float, Field(gt=1.0, le=1e6)] | None = None
    """Training pairs are dropped if one side has more than this many times the tokens of the
    other."""
    drop_duplicates: bool = False
    """Drop training pairs that repeat an earlier one on both sides."""
    streaming: bool = False
    """Read and tokenize the training corpora while training runs, instead of preparing them first.
    For corpora that are too large to prepare; the shuffling is only local."""
    shuffle_buffer: Annotated[int, Field(gt=0, le=10**9)] = 200_000
    """With `streaming`: number of pairs that are shuffled and cut into batches together."""
    invalid_utf8: Literal["error", "skip"] = "error"
    """A line that is not valid UTF-8 is an error, or its pair is dropped and counted."""
    cache_dir: str | None = None
    """Directory for prepared corpora. Default: `$NMT_CACHE_DIR`, else `nmt` in the user's
    cache directory (`$XDG_CACHE_HOME`, else `~/.cache`)."""

    @property
    def valid_sets(self) -> dict[str, list[AnyCorpus]]:
        """The validation corpora by the name of their set; it is empty for a set without one."""
        if isinstance(self.valid, dict):
            return self.valid
        return {"": self.valid} if self.valid else {}

    @property
    def valid_corpora(self) -> list[AnyCorpus]:
        """The validation corpora of all sets."""
        return [corpus for corpora in self.valid_sets.values() for corpus in corpora]

    def pair_of(self, corpus: Corpus) -> LanguagePair:
        """Return the languages of a corpus, as it is used."""
        if isinstance(corpus, TextCorpus):
            return LanguagePair(corpus.lang, corpus.lang)
        src, tgt = corpus.src_lang or self.src_lang, corpus.tgt_lang or self.tgt_lang
        return LanguagePair(tgt, src) if corpus.reversed else LanguagePair(src, tgt)

    @property
    def train_pairs(self) -> list[LanguagePair]:
        """The language pairs of the training corpora, each once."""
        pairs = list(dict.fromkeys(map(self.pair_of, self.train)))
        return pairs or [LanguagePair(self.src_lang, self.tgt_lang)]

    def tags_of(self, pair: LanguagePair) -> list[str]:
        """Return the tags in front of the sources of a language pair."""
        return tags_of(pair, self.tags)

    @property
    def num_tags(self) -> int:
        """Number of language tags in front of each source."""
        return {"none": 0, "target": 1, "both": 2}[self.tags]

    @property
    def train_tags(self) -> list[str]:
        """The language tags of all training corpora, each once."""
        return list(dict.fromkeys(tag for pair in self.train_pairs for tag in self.tags_of(pair)))

    @property
    def corpus_tags(self) -> list[str]:
        """The symbols of training corpora with a `tag`, each once."""
        return list(dict.fromkeys(tag_symbol(corpus.tag) for corpus in self.train if corpus.tag))

    def _conflicts(self) -> Iterator[str]:
        yield from self._corpus_tag_conflicts()
        if self.tags == "none":
            return
        for code in dict.fromkeys(code for pair in self.train_pairs for code in pair):
            if not is_usable(code):
                yield (
                    f"tags cannot name the language {code!r}: a code begins with a letter, "
                    "has letters, digits, - and _ only, and is not s, pad, unk, term, mask or sep"
                )

    def _corpus_tag_conflicts(self) -> Iterator[str]:
        for tag in dict.fromkeys(corpus.tag for corpus in self.train if corpus.tag):
            if not is_usable(tag):
                yield f"train: a corpus cannot have the tag {tag}: <{tag}> is another symbol"
            elif tag_symbol(tag) in self.train_tags:
                yield f"train: {tag} is the tag of a corpus and a language: give the corpus another"
        for part, corpora in (("valid", self.valid_corpora), ("test", self.test)):
            if tags := [corpus.tag for corpus in corpora if corpus.tag]:
                yield f"{part}: remove tag: {tags[0]}: translation has none, only data.train has"
