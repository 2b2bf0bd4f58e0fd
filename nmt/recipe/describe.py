"""What a recipe says about the text, in sentences."""

from __future__ import annotations

from nmt.recipe.survey import PERCENTILES, Survey, Text

_MUCH_OVERLAP = 0.01


def described(text: Text, languages: tuple[str, str]) -> list[str]:
    """Return lines about the training text."""
    sides = dict(zip(languages, (text.src, text.tgt), strict=True))
    lengths = {
        unit: "; ".join(
            f"{language} {_lengths(getattr(side, f'{unit}_percentiles'))}"
            for language, side in sides.items()
        )
        for unit in ("word", "character")
    }
    return [
        f"{languages[0]}-{languages[1]}: {text.pairs:,} pairs, of which {text.duplicates:,} repeat "
        f"an earlier one; {text.empty:,} others have no text on one side",
        f"words per sentence: {lengths['word']}",
        f"characters per sentence: {lengths['character']}",
        "distinct words: "
        + "; ".join(f"{language} {side.distinct_words:,}" for language, side in sides.items()),
        "usual script: "
        + "; ".join(f"{language} {side.script}" for language, side in sides.items()),
    ]


def _lengths(percentiles: list[int]) -> str:
    median, *others = zip(PERCENTILES, percentiles, strict=True)
    return ", ".join([f"median {median[1]}", *(f"{one} % up to {most}" for one, most in others)])


def described_validation(valid: Survey, train: Survey) -> str:
    """Return a line about a validation text, and how much of it is in the training text."""
    pairs = valid.text.pairs
    src, tgt, both = (int(found.sum()) for found in valid.sentences.found_in(train.sentences))
    line = (
        f"validation: {pairs:,} pairs; also in the training text: pairs {both:,}, sources {src:,}, "
        f"targets {tgt:,}"
    )
    if max(src, tgt) > _MUCH_OVERLAP * pairs:
        line += "; remove them from the training text: a model scores too well on what it has seen"
    return line
