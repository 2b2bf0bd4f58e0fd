"""One step of training: forward, backward, clipping and the optimizer (paper, section 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.config.schema import Config, TrainConfig
from nmt.data.batching import Batch
from nmt.data.tokenizer import Tokenizers
from nmt.device import autocast, is_out_of_memory
from nmt.errors import TrainingError
from nmt.model.build import copy_weights, make_network
from nmt.training.loss import batch_loss


@dataclass(frozen=True)
class StepFigures:
    """What a step was like.

    Attributes:
        loss: smoothed loss, in nats, summed over target tokens.
        nll: negative log-likelihood, likewise.
        tokens: target tokens, padding not counted.
        norm: of the gradient of the loss a token, before clipping.
    """

    loss: float
    nll: float
    tokens: int
    norm: float

    @property
    def is_finite(self) -> bool:
        """Whether the weights were changed: they are not when loss or gradient is not finite."""
        return math.isfinite(self.loss) and math.isfinite(self.norm)


class Learner:
    """The network and its optimizer.

    Args:
        config: what the network is and how it learns.
        tokenizers: of the run.
        device: where the network is.
        say: called with what the user should know.

    Attributes:
        network: newly initialised, or as `restore` left it.
        optimizer: its learning rate is that of the step before.
    """

    def __init__(
        self,
        config: Config,
        tokenizers: Tokenizers,
        device: torch.device,
        say: Callable[[str], object],
    ) -> None:
        torch.manual_seed(config.train.seed)
        self.network = make_network(config.model, *tokenizers.sizes).to(device)
        self.optimizer = _make_optimizer(self.network, config.train)
        self._config, self._device, self._say = config.train, device, say
        self._src_pad_id, self._tgt_pad_id = tokenizers.src.pad_id, tokenizers.tgt.pad_id
        self._has_split = False

    def step(self, batches: Sequence[Batch], rate: float) -> StepFigures:
        """Take one step on batches, whose gradients are those of one large batch.

        When memory runs out, the batch is divided and the step is begun anew. The objective
        stays the same: the loss is divided by the tokens of all batches, whatever their parts.

        Args:
            batches: on the CPU.
            rate: learning rate.

        Raises:
            TrainingError: memory runs out even for a single pair.
        """
        # Counted over all batches first: the objective is that of one large batch.
        tokens = sum(batch.num_tgt_tokens for batch in batches)
        self.network.train()
        loss, nll = self._accumulate(list(batches), tokens)
        limit = self._config.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), limit)
        figures = StepFigures(float(loss), float(nll), tokens, float(norm))
        if figures.is_finite:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return figures

    def _accumulate(self, parts: list[Batch], tokens: int) -> tuple[Tensor, Tensor]:
        """Add up gradients, and return loss and negative log-likelihood."""
        while True:
            sums = torch.zeros(2, device=self._device)
            too_large = None
            for place, batch in enumerate(parts):
                try:
                    sums += self._backward(batch, tokens)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    too_large = place
                    break
            # Not in the handler: until it is left, the traceback holds the tensors.
            if too_large is None:
                return sums[0], sums[1]
            # A backward pass cut short has changed some gradients.
            self.optimizer.zero_grad(set_to_none=True)
            parts[too_large : too_large + 1] = self._divided(parts[too_large])

    def _backward(self, batch: Batch, tokens: int) -> Tensor:
        with autocast(self._config.precision, self._device):
            loss, nll = batch_loss(
                self.network,
                batch.to(self._device),
                self._tgt_pad_id,
                self._config.label_smoothing,
            )
        (loss / tokens).backward()  # type: ignore[no-untyped-call]
        return torch.stack([loss.detach(), nll])

    def _divided(self, batch: Batch) -> tuple[Batch, Batch]:
        if len(batch.rows) == 1:
            raise TrainingError(
                f"out of memory: a pair of {batch.num_src_tokens} and {batch.num_tgt_tokens} "
                "tokens alone does not fit; lower data.max_length, or take a smaller model"
            )
        if not self._has_split:
            self._has_split = True
            self._say(
                f"out of memory in a batch of {len(batch.rows)} pairs: it and others like it are "
                "trained on in parts, with the same result but slower; a lower "
                "train.batch_tokens with a higher train.accumulate avoids it"
            )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return batch.halves(self._src_pad_id, self._tgt_pad_id)

    # What a checkpoint holds

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """All that the next steps depend on: weights, optimizer and random state, not copied."""
        named = dict(self.network.named_parameters())
        return {
            "weights": {name: parameter.detach() for name, parameter in named.items()},
            "optimizer": {
                f"{key}.{name}": value
                for name, parameter in named.items()
                for key, value in self.optimizer.state[parameter].items()
            },
            "random": _random_state(self._device),
        }

    def restore(self, tensors: Mapping[str, Mapping[str, Tensor]], origin: str) -> None:
        """Take over what `tensors` returned.

        Raises:
            FileError: they are not of this network; the message names `origin`.
        """
        copy_weights(self.network, tensors["weights"], origin)
        for name, parameter in self.network.named_parameters():
            self.optimizer.state[parameter] = {
                key: tensors["optimizer"][f"{key}.{name}"].to(
                    "cpu" if key == "step" else self._device
                )
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
        _restore_random_state(tensors["random"], self._device)


def _make_optimizer(network: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    matrices = [p for p in network.parameters() if p.dim() > 1]
    vectors = [p for p in network.parameters() if p.dim() <= 1]
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    decay = config.weight_decay if config.optimizer == "adamw" else 0.0
    groups = [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return kind(groups, lr=1.0, betas=config.betas, eps=config.eps, fused=True)


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _restore_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)
