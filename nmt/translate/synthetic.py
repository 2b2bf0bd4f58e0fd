"""Plain text in, synthetic pairs out: a format of `translate_file`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nmt.data.lines import replace_controls
from nmt.data.synthetic import SyntheticPair
from nmt.translate.formats import Item
from nmt.translate.translation import ScoredText, Translation


@dataclass(frozen=True)
class SyntheticLayout:
    """Reads plain lines; writes them as the targets of synthetic pairs.

    Attributes:
        src_lang, tgt_lang: codes of the languages of the model, which one with tags is told.
    """

    src_lang: str
    tgt_lang: str

    def read(self, line: str, number: int) -> Item:
        """Return the line as the text to translate."""
        text = replace_controls(line)[0]
        return Item(text, src_lang=self.src_lang, tgt_lang=self.tgt_lang)

    def write(self, number: int, item: Item, translation: Translation) -> str:
        """Return the pair with the mean log-probability of a token."""
        best = translation.hypotheses[0]
        score = round(best.log_prob / max(best.num_tokens, 1), 6)
        return SyntheticPair(best.text, item.text, score).to_json()

    def read_output(self, lines: Iterable[str]) -> Iterator[Translation]:
        """Read the translations back from output lines."""
        for pair in map(SyntheticPair.from_json, lines):
            # As if of one token, so that writing it again gives the same score.
            yield Translation([ScoredText(pair.src, 0.0, log_prob=pair.score, num_tokens=1)])
