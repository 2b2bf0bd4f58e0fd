"""The schema of the configuration; `nmt.config.load` reads one.

The docstring under each field is its documentation. `nmt config` can print it as a JSON
schema, which editors use for completion and help.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict, Field

from nmt.config.augment import augment_conflicts
from nmt.config.context import context_conflicts
from nmt.config.data import DataConfig
from nmt.config.decode import DecodeConfig
from nmt.config.denoise import denoising_conflicts, translation_conflicts
from nmt.config.finetuning import stage_conflicts
from nmt.config.guided_alignment import guided_conflicts
from nmt.config.models import AnyModel, TransformerConfig
from nmt.config.recipe import RecipeConfig
from nmt.config.regularisation import (
    regularisation_conflicts,
)
from nmt.config.section import Section
from nmt.config.tokenizer import TokenizerConfig
from nmt.config.train import TrainConfig
from nmt.config.validation import set_of


def _lacks_brackets(tokenizer: TokenizerConfig) -> bool:
    """Return whether a tokenizer certainly has no pieces that are labelled brackets."""
    brackets = [symbol for symbol in tokenizer.user_defined_symbols if symbol.startswith("\u2581(")]
    return not (brackets or tokenizer.model or tokenizer.tgt_model)


def _untrained_languages(data: DataConfig) -> Iterator[str]:
    """Yield a message for each part with a language that no training corpus has a tag for."""
    known = set(data.train_tags)
    for name, corpora in (("valid", data.valid_corpora), ("test", data.test)):
        tags = [tag for corpus in corpora for tag in data.tags_of(data.pair_of(corpus))]
        if missing := [tag for tag in dict.fromkeys(tags) if tag not in known]:
            yield (
                f"data.{name} needs {', '.join(missing)}, but the corpora of data.train have only "
                f"{', '.join(data.train_tags)}: check its src_lang and tgt_lang"
            )


def _with_extends(schema: dict[str, Any]) -> None:
    """Add `extends` to the JSON schema: files may have it, but loading removes it."""
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "Another configuration on which this one is based: a path relative to this "
        "file's directory. Sections are merged, everything else is replaced; `recipe` is not "
        "inherited.",
    }
    required = [*schema.pop("required"), "extends"]
    schema["anyOf"] = [{"required": [key]} for key in required]


class Config(Section):
    """The configuration of a training run."""

    model_config = ConfigDict(json_schema_extra=_with_extends)

    data: DataConfig
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: AnyModel = TransformerConfig()
    train: TrainConfig = TrainConfig()
    decode: DecodeConfig = DecodeConfig()
    recipe: RecipeConfig | None = Field(default=None, exclude=True)  # no setting: runs lack it

    def _conflicts(self) -> Iterator[str]:
        if self.model.tie_embeddings == "all" and not self.tokenizer.joint:
            yield (
                "model.tie_embeddings: all needs tokenizer.joint: true; "
                "with separate vocabularies use decoder or none"
            )
        positions, length = self.model.max_positions, self.data.max_length
        if positions is not None and positions < length:
            yield f"model.positions.max_length {positions} is less than data.max_length {length}"
        if self.decode.trees and _lacks_brackets(self.tokenizer):
            yield (
                "decode.trees needs labelled brackets among tokenizer.user_defined_symbols, "
                "as in configs/parsing-gum.yaml"
            )
        yield from self._objective_conflicts()
        yield from self._terms_conflicts()
        if self.decode.coverage_penalty and self.model.kind != "transformer":
            yield f"decode.coverage_penalty needs model.kind: transformer, not {self.model.kind}"
        keeps_tokenizer = self.train.init_from and not self.tokenizer.replace
        if not (keeps_tokenizer or self.tokenizer.model or self.tokenizer.src_model):
            yield from _untrained_languages(self.data)
        if self.data.streaming and self.data.sampling_temperature != 1:
            yield (
                "data.sampling_temperature needs prepared data, to count the pairs: with "
                "streaming, set the weight of each corpus"
            )
        if self.data.streaming and self.data.drop_duplicates:
            yield "data.drop_duplicates needs prepared data: it cannot be combined with streaming"
        yield from self._extension_conflicts()
        if self.train.lora and self.model.kind != "transformer":
            yield f"train.lora needs model.kind: transformer, not {self.model.kind}"
        yield from self._guided_conflicts()
        yield from self._changed_text_conflicts()
        yield from regularisation_conflicts(
            self.model,
            r_drop=self.train.r_drop,
            guided=self.train.guided_alignment is not None,
            shard=self.train.shard,
        )
        if (name := set_of(self.train.metric)) and name not in self.data.valid_sets:
            named = ", ".join(filter(None, self.data.valid_sets))
            known = (
                f"it has {named}" if named else f"name its sets, as in {{{name}: {{src: FILE, …}}}}"
            )
            yield f"train.metric {self.train.metric}: data.valid has no set {name}; {known}"
        if self.train.stages:
            sets = dict.fromkeys(one.set for one in self.data.train if one.set)
            yield from stage_conflicts(self.train.stages, self.train.max_steps, [*sets])
        if self.train.patience is not None and not self.data.valid:
            yield "train.patience needs data.valid"
        if self.train.average == "best" and not self.data.valid:
            yield "train.average: best needs data.valid"
        yield from self._tuning_conflicts()

    def _changed_text_conflicts(self) -> Iterator[str]:
        guided, placeholders = self.train.guided_alignment is not None, bool(self.data.placeholders)
        if augment := self.data.augment:
            yield from augment_conflicts(augment, guided=guided, placeholders=placeholders)
        if self.data.context:
            trees = self.decode.trees
            yield from context_conflicts(guided=guided, placeholders=placeholders, trees=trees)

    def _extension_conflicts(self) -> Iterator[str]:
        for key in self.tokenizer.changes:
            if not self.train.init_from:
                yield f"{key} needs train.init_from: it changes the tokenizer of another run"
            if self.train.lora:
                yield f"{key}: train.lora would not train the embeddings of new pieces"

    def _tuning_conflicts(self) -> Iterator[str]:
        if self.train.tune_decode is None:
            return
        if not self.data.valid:
            yield "train.tune_decode needs data.valid"
        groups = self.decode.beam_groups
        for size in self.train.tune_decode.beam_sizes:
            if size % groups:
                yield (
                    f"train.tune_decode.beam_sizes: {size} is no multiple of decode.beam_groups "
                    f"{groups}"
                )

    def _objective_conflicts(self) -> Iterator[str]:
        data, train = self.data, self.train
        parts = {"data.train": data.train, "data.valid": data.valid_corpora}
        if train.objective == "translate":
            yield from translation_conflicts({**parts, "data.test": data.test})
            return
        yield from denoising_conflicts(
            {key: map(data.pair_of, corpora) for key, corpora in parts.items()},
            joint=self.tokenizer.joint,
            symbols=self.tokenizer.user_defined_symbols,
            metric=train.metric,
            for_translation={
                "data.terms": data.terms,
                "data.augment": data.augment,
                "data.context": data.context or None,
                "train.guided_alignment": train.guided_alignment,
                "train.tune_decode": train.tune_decode,
            },
        )

    def _terms_conflicts(self) -> Iterator[str]:
        if self.data.terms and not self.tokenizer.joint:
            yield (
                "data.terms needs tokenizer.joint: true: terms of the target language are written "
                "in the vocabulary of the source"
            )
        if self.data.terms and self.data.placeholders:
            yield (
                "data.terms cannot be combined with data.placeholders: the words of a target with "
                "symbols are no terms"
            )
        if self.decode.terms != "hard" and not self.data.terms:
            yield f"decode.terms: {self.decode.terms} needs a model trained with data.terms"

    def _guided_conflicts(self) -> Iterator[str]:
        if self.train.guided_alignment is None:
            if any(corpus.alignments for corpus in self.data.train):
                yield (
                    "data.train has alignments, which nothing uses: set train.guided_alignment={}, "
                    "or remove them"
                )
            return
        if self.train.guided_alignment.aligner == "none" and not any(
            corpus.alignments for corpus in self.data.train
        ):
            yield (
                "train.guided_alignment.aligner: none needs alignments of at least one corpus of "
                "data.train"
            )
        yield from guided_conflicts(self.train.guided_alignment, self.model)
        if self.data.streaming:
            yield (
                "train.guided_alignment needs prepared data, to align them first: it cannot be "
                "combined with streaming"
            )
