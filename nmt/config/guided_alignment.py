"""The section of guided alignment: an attention head that is taught word alignment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from nmt.config.models import AnyModel
from nmt.config.section import Section
from nmt.limits import MAX_LAYERS


class GuidedAlignmentConfig(Section):
    """Teach the first attention head of a decoder layer the word alignment of the training pairs
    (Garg et al. 2019). The model then aligns words with this head.
    """

    weight: Annotated[float, Field(gt=0.0, le=100.0)] = 0.05
    """The loss gets this many times the cross-entropy of the head's attention, in nats, summed over
    the aligned target tokens."""
    layer: Annotated[int, Field(gt=0, le=MAX_LAYERS)] | None = None
    """The decoder layer, from 1. Default: the last but one, or the only one."""
    aligner: Literal["auto", "eflomal", "fast_align", "run", "none"] = "auto"
    """Where the alignment of corpora without `alignments` comes from: a program, the attention of
    `run`, or nowhere: they do not teach the head. `auto` is `run` if that is set, else eflomal if
    it is installed, else fast_align."""
    run: str | None = None
    """A trained run of the same languages, whose attention aligns the words."""
    reverse_run: str | None = None
    """A run of the opposite direction: the links of both are symmetrised."""

    def _conflicts(self) -> Iterator[str]:
        if self.run and self.aligner not in ("auto", "run"):
            yield f"run needs aligner: run, not {self.aligner}"
        if self.aligner == "run" and not self.run:
            yield "aligner: run needs run, a trained run of the same languages"
        if self.reverse_run and not self.run:
            yield "reverse_run needs run"


def guided_layer(guided: GuidedAlignmentConfig, num_layers: int) -> int:
    """Return the index, from 0, of the decoder layer whose first head is taught.

    Args:
        guided: the section.
        num_layers: of the decoder.
    """
    return guided.layer - 1 if guided.layer else max(0, num_layers - 2)


def guided_conflicts(guided: GuidedAlignmentConfig, model: AnyModel) -> Iterator[str]:
    """Yield a message for each setting that a model has no place for."""
    if model.kind != "transformer":
        yield f"train.guided_alignment needs model.kind: transformer, not {model.kind}"
    elif guided.layer and guided.layer > model.decoder_layers:
        yield (
            f"train.guided_alignment.layer is {guided.layer}, but model.decoder_layers is "
            f"{model.decoder_layers}"
        )
