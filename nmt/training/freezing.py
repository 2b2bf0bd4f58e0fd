"""`train.freeze`: parameters that keep their weights during training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from torch import nn

from nmt.config.schema import Config
from nmt.config.stages import stages_of
from nmt.errors import ConfigError
from nmt.model.build import make_network

_SHORTHANDS = {
    "embeddings": ("src_embedding.*", "tgt_embedding.*", "projection.*", "*_positions.*"),
    "encoder": ("encoder_*",),
    "decoder": ("decoder_*",),
}
_SHOWN = 4  # names in an error message


def check_freeze(config: Config) -> None:
    """Check what all stages freeze against the names of the parameters, before long preparation.

    Raises:
        ConfigError: as in `freeze`; if the embeddings of new pieces would never be trained.
    """
    if not any(stage.config.train.freeze for stage in stages_of(config)):
        return
    is_trained = trains_embeddings(config)
    for key in config.tokenizer.changes:
        if not is_trained:
            raise ConfigError(f"{key}: train.freeze would not train the embeddings of new pieces")


def trains_embeddings(config: Config, sides: Sequence[str] = ("src", "tgt")) -> bool:
    """Return whether a stage of the run trains the embeddings of all the given sides.

    Raises:
        ConfigError: as in `freeze`.
    """
    embeddings = {f"{side}_embedding.weight" for side in sides}
    # All stages are checked, whatever the first one trains.
    trained = [
        {
            name
            for name, one in network.named_parameters(remove_duplicate=False)
            if one.requires_grad
        }
        for network in _frozen(config)
    ]
    return not config.train.lora and any(embeddings <= names for names in trained)


def _frozen(config: Config) -> Iterator[nn.Module]:
    """Yield a network without content as each stage trains it."""
    for number, stage in enumerate(stages_of(config)):
        with torch.device("meta"):  # the names do not depend on the size of the vocabulary
            network = make_network(config.model, 1, 1, 0)
        if patterns := stage.config.train.freeze:
            is_own = config.train.stages and config.train.stages[number].freeze
            freeze(network, patterns, f"train.stages.{number}.freeze" if is_own else "train.freeze")
        yield network


def freeze(network: nn.Module, patterns: Sequence[str], key: str = "train.freeze") -> None:
    """Turn off the gradients of the parameters that patterns select.

    A matrix that several parts share is selected by any of its names.

    Args:
        network: the network.
        patterns: for `fnmatchcase`, or `embeddings`, `encoder` or `decoder`. Each adds to the
            selection, or removes from it after a `!`. The last one that matches a name decides.
        key: what messages call them.

    Raises:
        ConfigError: if a pattern matches nothing, or nothing or everything is selected.
    """
    names: dict[nn.Parameter, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, []).append(name)
    frozen: set[nn.Parameter] = set()
    for pattern in patterns:
        matched = _matched(pattern, names, key)
        frozen = frozen - matched if pattern.startswith("!") else frozen | matched
    if not frozen:
        raise ConfigError(
            f"{key}: {', '.join(patterns)} freezes nothing; a pattern with ! takes back "
            "what an earlier one freezes, as in ['*', '!*bias*']"
        )
    if len(frozen) == len(names):
        raise ConfigError(
            f"{key}: {', '.join(patterns)} freezes all {len(names)} parameters of the "
            "model, so there is nothing to train; take some back, as in ['*', '!*bias*']"
        )
    for parameter in frozen:
        parameter.requires_grad_(False)


def describe_trained(network: nn.Module) -> str:
    """Return how many of the numbers in a network are trained, in words."""
    counts = [(p.numel(), p.requires_grad) for p in network.parameters()]
    trained = sum(count for count, is_trained in counts if is_trained)
    return f"training {trained:,} of {sum(count for count, _ in counts):,} parameters"


def _matched(
    pattern: str, names: Mapping[nn.Parameter, Sequence[str]], key: str
) -> set[nn.Parameter]:
    """Return the parameters that a pattern matches; raise a ConfigError if there are none."""
    plain = pattern.removeprefix("!")
    globs = _SHORTHANDS.get(plain, (plain,))
    matched = {
        parameter
        for parameter, own in names.items()
        if any(fnmatchcase(name, glob) for name in own for glob in globs)
    }
    if not matched:
        known = [own[0] for own in names.values()]
        examples = known[:: max(len(known) // _SHOWN, 1)][:_SHOWN]
        raise ConfigError(
            f"{key}: {pattern!r} matches no parameter; use embeddings, encoder or decoder, "
            f"or a pattern for names such as {', '.join(examples)}"
        )
    return matched
