"""Word alignment error of a model of the built-in corpus, whose true alignments are known.

The true alignments leave out punctuation, so links from or to punctuation are ignored.
"""

from __future__ import annotations

from pathlib import Path

from nmt.data.phrasebook import pairs
from nmt.evaluation.metrics import AlignmentScore, score_alignments
from nmt.runs.model import load_model
from nmt.translate.align import Aligner
from nmt.translate.words import Links, split_words


def alignment_errors(run: Path) -> dict[str, AlignmentScore]:
    """Return the score of the attention of each decoder layer, from the first to the last.

    Args:
        run: directory of a Transformer that was trained on the built-in corpus.

    Returns:
        The scores by the number of the layer, and that of the head that `train.guided_alignment`
        has taught, if there is one, as `head`.

    Raises:
        ConfigError: if the model is not a Transformer.
        FileError: if the directory has no model.
    """
    model = load_model(run)
    depth = len(model.transformer("word alignment").decoder_layers)
    scores = {str(layer): _score(Aligner([model], layer)) for layer in range(1, depth + 1)}
    if model.config.train.guided_alignment:
        scores["head"] = _score(Aligner([model]))
    return scores


def _score(aligner: Aligner) -> AlignmentScore:
    test = pairs("test")
    aligned = aligner.align([(pair.src, pair.tgt) for pair in test])
    predicted = [
        _between_words(links, pair.src, pair.tgt) for pair, links in zip(test, aligned, strict=True)
    ]
    return score_alignments(predicted, [pair.alignment for pair in test])


def _between_words(links: Links, src: str, tgt: str) -> Links:
    """Return the links between words that are not punctuation, numbered without punctuation."""
    src_numbers, tgt_numbers = _numbers(src), _numbers(tgt)
    return [
        (src_numbers[i], tgt_numbers[j]) for i, j in links if i in src_numbers and j in tgt_numbers
    ]


def _numbers(text: str) -> dict[int, int]:
    words = [index for index, word in enumerate(split_words(text)) if word[0].isalnum()]
    return {index: number for number, index in enumerate(words)}
