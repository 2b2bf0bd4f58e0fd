"""A trial on a sample of the text: how many tokens it has, and how fast this machine trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nmt.config.load import make_config
from nmt.config.schema import Config
from nmt.data.corpus import Pair
from nmt.data.prepare import prepare
from nmt.data.prepared import Prepared
from nmt.data.tokenizer_training import train_tokenizers
from nmt.errors import DataError, TrainingError
from nmt.files import write_lines
from nmt.limits import MAX_LENGTH
from nmt.recipe.budget import Tokens
from nmt.recipe.rules import Choice

if TYPE_CHECKING:
    from nmt.check.training import Measured

# The first steps of a process are slow. If a busy machine takes only those in the time, the second
# attempt is the one that counts.
_ATTEMPTS_SECONDS = (20.0, 40.0)
_RELIABLE_STEPS = 3
# By nmt.check.plan, padding makes batches of Multi30k, Tatoeba and Europarl larger by 1 to 4 %,
# together with BPE-dropout of 0.05 by 20 to 28 %.
_PADDING, _SAMPLING = 1.02, 1.22


class Trial:
    """A sample of the text, tokenized as training would.

    Args:
        folder: an empty directory for it.
        sample: the pairs.
        languages: source and target language.
        choices: the section `tokenizer`.

    Raises:
        ConfigError: if SentencePiece cannot use the settings.
    """

    def __init__(
        self,
        folder: Path,
        sample: Sequence[Pair],
        languages: tuple[str, str],
        choices: Sequence[Choice],
    ) -> None:
        write_lines((pair.src for pair in sample), folder / "src")
        write_lines((pair.tgt for pair in sample), folder / "tgt")
        self._data = {
            **{"src_lang": languages[0], "tgt_lang": languages[1], "cache_dir": str(folder)},
            "train": {"src": str(folder / "src"), "tgt": str(folder / "tgt")},
        }
        self._tokenizer = sections(choices)["tokenizer"]
        config = self._config([Choice("data", {"max_length": MAX_LENGTH}, "")])
        self._tokenizers = train_tokenizers(config)
        self._unfiltered = self._prepared(config)

    def tokens(self, pairs: int) -> Tokens:
        """Return figures of the text, of which this is a sample.

        Args:
            pairs: number of its pairs.
        """
        src, tgt = self._unfiltered.src_lengths, self._unfiltered.tgt_lengths
        longer, shorter = np.maximum(src, tgt), np.minimum(src, tgt)
        sampled = self._tokenizer.get("sampling_alpha")
        return Tokens(
            pairs=pairs,
            vocab_size=max(side.vocab_size for side in self._tokenizers),
            per_pair=float((src + tgt).mean()),
            longer=float(longer.mean()) * (_SAMPLING if sampled else _PADDING),
            longest=int(np.percentile(longer, 99, method="higher")),
            ratio=float(np.percentile((longer - 1) / (shorter - 1).clip(min=1), 99)),
        )

    def kept(self, choices: Sequence[Choice]) -> float:
        """Return the share of the sample that the filters of the section `data` keep.

        Raises:
            DataError: if that is nothing.
        """
        config = self._config(choices)
        try:
            return len(self._prepared(config)) / len(self._unfiltered)
        except DataError as error:
            raise DataError(
                f"each pair has a side of more than {config.data.max_length} tokens, or sides of "
                "very different lengths: divide the lines into sentences"
            ) from error

    def measure(self, choices: Sequence[Choice]) -> Measured:
        """Take training steps on this machine to measure their time.

        Args:
            choices: all sections.

        Raises:
            ConfigError: if the model does not fit into memory.
            TrainingError: if a step does not.
        """
        from nmt.check.subject import Subject  # imports torch
        from nmt.check.training import measure
        from nmt.training.device import set_up_device

        config = self._config(choices)
        device = set_up_device(config)
        subject = Subject(config, self._tokenizers, {"train": self._prepared(config)})
        first, second = _ATTEMPTS_SECONDS
        measured, findings = measure(subject, device, first)
        if measured and measured.steps < _RELIABLE_STEPS:
            measured, findings = measure(subject, device, second)
        if measured is None:
            raise TrainingError("; ".join(finding.message for finding in findings))
        return measured

    def _config(self, choices: Sequence[Choice]) -> Config:
        """Return a configuration for the sample, without validation."""
        # Without a model among the choices, one that suits any tokenizer.
        values = {"model": {"tie_embeddings": "none"}} | sections(choices)
        return make_config(
            values | {"data": values.get("data", {}) | self._data, "tokenizer": self._tokenizer}
        )

    def _prepared(self, config: Config) -> Prepared:
        return prepare(config, self._tokenizers, config.data.train, filtered=True)


def sections(choices: Sequence[Choice]) -> dict[str, dict[str, Any]]:
    """Return the sections of a configuration with the given settings."""
    values: dict[str, dict[str, Any]] = {}
    for choice in choices:
        values.setdefault(choice.section, {}).update(choice.values)
    return values
