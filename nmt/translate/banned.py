"""Words and phrases that translations must not contain.

Shapes: B sentences in the batch, W live hypotheses per sentence, C consecutive hypotheses, N
sentences that stay, V target tokens, S states.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from nmt.data.pieces import SPACE, begins_anywhere, is_in_word, text_of
from nmt.data.tokenizer import Tokenizer

_State = tuple[frozenset[tuple[int, int]], bool]
"""For each phrase that has begun its number and the characters matched, and whether a word may
begin here."""


class BannedText:
    """The text that the tokens of a hypothesis spell, as far as banned phrases are concerned.

    A phrase is banned as whole words, however they are divided into tokens. It begins at the
    beginning of a word: after a space, punctuation or nothing, or after any character if it begins
    with punctuation or its script has no spaces. A token is banned if a phrase ends with it, or
    before a space or punctuation in it. So `cat` does not ban `category` as one token, nor as `ca`
    and `tegory`, but as `cat` and `egory`, because a token is chosen before what follows it. Case
    matters.

    Args:
        tokenizer: of the target side.
        phrases: at least one character in each.
    """

    def __init__(self, tokenizer: Tokenizer, phrases: Sequence[str]) -> None:
        normalized = (text.replace(SPACE, " ").strip() for text in tokenizer.normalize(phrases))
        self._phrases = [phrase for phrase in normalized if phrase]
        self._texts = [text_of(piece) for piece in tokenizer.vocabulary()]
        for token in {*tokenizer.special_ids, *tokenizer.control_symbols.values()}:
            self._texts[token] = ""
        self._by_first: dict[str, list[int]] = defaultdict(list)
        for token, text in enumerate(self._texts):
            self._by_first[text[:1]].append(token)
        self._states: list[_State] = []
        self._numbers: dict[_State, int] = {}
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}
        self.start = self._number((frozenset(), True))

    def row(self, number: int) -> tuple[Tensor, Tensor]:
        """Return what each token leads to from a state.

        Args:
            number: `start`, or one that an earlier row has.

        Returns:
            int64 [V], the number of the next state; bool [V], whether the token is banned.
        """
        if number not in self._rows:
            begun, is_edge = state = self._states[number]
            if begun:
                # Only tokens that continue a phrase lead elsewhere than if none had begun.
                next_V, banned_V = (
                    each.clone() for each in self.row(self._number((frozenset(), is_edge)))
                )
                firsts = {self._phrases[phrase][place] for phrase, place in begun}
                tokens = [token for first in firsts for token in self._by_first.get(first, ())]
            else:
                size = len(self._texts)
                next_V, banned_V = torch.zeros(size, dtype=torch.int64), torch.zeros(size).bool()
                tokens = [*range(size)]
            for token in tokens:
                following, is_banned = self._read(state, self._texts[token])
                next_V[token], banned_V[token] = self._number(following), is_banned
            self._rows[number] = next_V, banned_V
        return self._rows[number]

    def _number(self, state: _State) -> int:
        if state not in self._numbers:
            self._numbers[state] = len(self._states)
            self._states.append(state)
        return self._numbers[state]

    def _read(self, state: _State, text: str) -> tuple[_State, bool]:
        """Return the state after more text, and whether a phrase has ended in it."""
        begun, is_edge = state
        ended = is_banned = False
        for character in text:
            in_word = is_in_word(character)
            is_banned |= ended and not in_word
            advanced = [
                (phrase, place + 1)
                for phrase, place in begun
                if self._phrases[phrase][place] == character
            ]
            advanced += [
                (number, 1)
                for number, phrase in enumerate(self._phrases)
                if phrase[0] == character and (is_edge or begins_anywhere(character))
            ]
            begun = frozenset(each for each in advanced if each[1] < len(self._phrases[each[0]]))
            ended = len(begun) < len({*advanced})
            is_edge = not in_word
        return (begun, is_edge), is_banned or ended


class BannedPhrases:
    """A constraint that forbids tokens with which a banned phrase ends.

    Args:
        text: the phrases.
        ids: the tokens that the search knows, in the order of their numbers; by default all.
        device: device of the log-probabilities.
    """

    def __init__(
        self, text: BannedText, ids: Tensor | None = None, device: torch.device | str = "cpu"
    ) -> None:
        self._text, self._ids, self._device = text, ids, device
        self._states_BW: Tensor | None = None

    def advance(self, tokens_BW: Tensor) -> None:
        """Let the hypotheses read their newest token."""
        if self._states_BW is None:
            self._states_BW = torch.full_like(tokens_BW, self._text.start, device="cpu")
            return
        tokens_BW = tokens_BW if self._ids is None else self._ids[tokens_BW]
        next_SV, places_BW = self._rows(0)
        self._states_BW = next_SV[places_BW, tokens_BW.cpu()]

    def apply(self, log_probs_CV: Tensor, first: int) -> Tensor:
        """Set the probabilities of the tokens to 0."""
        banned_SV, places_BW = self._rows(1)
        places_C = places_BW.flatten()[first : first + len(log_probs_CV)]
        banned_SV = banned_SV if self._ids is None else banned_SV[:, self._ids.cpu()]
        banned_CV = banned_SV.to(self._device)[places_C.to(self._device)]
        return log_probs_CV.masked_fill_(banned_CV, -torch.inf)

    def select(self, sentences_N: Tensor, beams_NW: Tensor) -> None:
        """Keep these sentences and hypotheses."""
        assert self._states_BW is not None
        self._states_BW = self._states_BW[sentences_N.cpu()[:, None], beams_NW.cpu()]

    def _rows(self, part: int) -> tuple[Tensor, Tensor]:
        """Return a part of the rows of the states that occur, and the place of each state's row."""
        assert self._states_BW is not None
        numbers, places_BW = torch.unique(self._states_BW, return_inverse=True)
        return torch.stack([self._text.row(number)[part] for number in numbers.tolist()]), places_BW


@lru_cache(maxsize=4)
def banned_text(tokenizer: Tokenizer, phrases: tuple[str, ...]) -> BannedText:
    """Return what `BannedPhrases` needs: the same for every batch, because it takes a while."""
    return BannedText(tokenizer, phrases)
