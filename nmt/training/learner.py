"""A training step: forward and backward pass over all batches, and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.config.schema import Config
from nmt.data.batching import Batch
from nmt.data.tokenizer import Tokenizers
from nmt.device import Download, autocast, is_out_of_memory, upload
from nmt.distributed import World
from nmt.errors import TrainingError
from nmt.model.build import check_shapes, make_network, network_with_weights
from nmt.model.network import Network
from nmt.model.transformer import Transformer
from nmt.training.consistency import TwoViews
from nmt.training.ema import MovingAverage
from nmt.training.freezing import freeze
from nmt.training.guided_alignment import GuidedHead
from nmt.training.lora import (
    add_factors,
    has_factors,
    merged_weights,
    ordinary_parameters,
    unmerged_parameters,
)
from nmt.training.loss import batch_loss
from nmt.training.noise import TokenNoise
from nmt.training.optimizer import ModelTooLarge, Optimizer
from nmt.training.sharding import is_sharded, shard, share, whole

_FAILED = 4  # place among the figures of a step


@dataclass(frozen=True)
class StepStats:
    """Statistics of a training step.

    Attributes:
        loss: smoothed loss in nats, summed over target tokens, with that of guided alignment and
            the divergence of two views.
        nll: negative log-likelihood in nats, summed over target tokens.
        tokens: number of target tokens without padding.
        grad_norm: norm of the gradient of the loss per token, before clipping.
        divergence: of the predictions of two views, in nats, summed over target tokens; 0 without
            `train.r_drop`, `train.sim_cut` and `train.token_cutoff`.
        stop: whether any of the processes has been asked to stop.
    """

    loss: float
    nll: float
    tokens: int
    grad_norm: float
    divergence: float = 0.0
    stop: bool = False

    @property
    def is_finite(self) -> bool:
        """Return whether loss and gradient are finite; if not, the weights have not changed."""
        return math.isfinite(self.loss) and math.isfinite(self.grad_norm)


class StepInProgress:
    """A step that a GPU may still be computing.

    Args:
        figures: float32 [7]: loss, negative log-likelihood, divergence, tokens, numbers of
            processes that have failed and that have been asked to stop, norm of the summed
            gradients.
    """

    def __init__(self, figures: Download) -> None:
        self._figures = figures

    def stats(self) -> StepStats:
        """Return its statistics; waits for the step, but not for later ones."""
        loss, nll, divergence, tokens, _, stopped, norm = self._figures.tolist()
        return StepStats(loss, nll, round(tokens), norm / tokens, divergence, stop=stopped > 0)


class Learner:
    """The network and its optimizer.

    Args:
        config: configuration of the model and of training.
        tokenizers: tokenizers of the training run.
        device: device of the network.
        warn: called with warnings for the user.
        world: the processes that train together; by default, this one.

    Attributes:
        network: newly initialised, or restored by `restore`.
        optimizer: of its trained parameters.
    """

    def __init__(
        self,
        config: Config,
        tokenizers: Tokenizers,
        device: torch.device,
        warn: Callable[[str], object],
        world: World | None = None,
    ) -> None:
        torch.manual_seed(config.train.seed)
        self._world = world or World()
        self._shape = config.model, *tokenizers.sizes
        self.network = make_network(*self._shape)
        if config.train.freeze:
            freeze(self.network, config.train.freeze)
        if config.train.lora:
            add_factors(self.network, config.train.lora)
        if config.train.shard and self._world.size > 1:
            shard(self.network, device, self._world.size)
        self.network.to(device)
        if config.train.activation_checkpointing and isinstance(self.network, Transformer):
            self.network.checkpoints_activations = True
        self._head = GuidedHead.of(self.network, config.train.guided_alignment)
        self._views = TwoViews.of(self.network, config.train)
        self._noise = TokenNoise(config.train, tokenizers, device)
        decay = config.train.ema
        self._average = MovingAverage(self.network, decay) if decay else None
        self.optimizer = Optimizer(self.network, config.train, device)
        self._config, self._device, self._warn = config.train, device, warn
        self._src_pad_id, self._tgt_pad_id = tokenizers.src.pad_id, tokenizers.tgt.pad_id
        self._has_split = False

    def step(
        self,
        batches: Sequence[Batch],
        rate: float,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> StepStats:
        """Take one step, as `start` does, and wait for it.

        Args:
            batches, rate, stop: as in `start`.

        Raises:
            TrainingError, PeerError: as in `start`.
        """
        stats = self.start(batches, rate, stop=stop).stats()
        if not stats.is_finite:
            self.go_on()
        return stats

    def start(
        self,
        batches: Sequence[Batch],
        rate: float,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> StepInProgress:
        """Start one step on batches, with the same gradient as one large batch.

        Each process of the world brings its own batches, and all take the same step. If memory runs
        out, the batch is divided and tried again. The objective stays the same, since the gradient
        of the summed loss is divided by the number of tokens in all batches at the end.

        The program does not wait for a GPU, so further steps may be started before this one is
        known to be finite. If it is not, neither this nor any later step changes the weights or the
        optimizer, until `go_on`.

        Args:
            batches: batches on the CPU.
            rate: learning rate.
            stop: returns whether this process has been asked to stop; see `StepStats.stop`.

        Raises:
            TrainingError: if memory runs out even for a single pair, in any of the processes.
            PeerError: if another process has failed.
        """
        self.network.train()
        failure = None
        try:
            losses_3 = self._accumulate(list(batches))
        except TrainingError as error:
            if self._world.size == 1 or is_sharded(self.network):
                raise
            failure, losses_3 = error, torch.zeros(3, device=self._device)
            failure.shared = False  # memory ran out in this process
        tokens = sum(batch.num_tgt_tokens for batch in batches)
        counts = torch.tensor([tokens, failure is not None, stop()], dtype=torch.float32)
        sums = torch.cat([losses_3, *upload([counts], self._device)])
        self._complete_gradients()
        sums = self._sum_over_processes(sums)
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = whole(torch.nn.utils.get_total_norm(gradients))
        figures = Download(torch.cat([sums, norm[None]]))
        # Several processes wait for each step, because all must know here if one has failed.
        if self._world.size > 1 and figures.tolist()[_FAILED]:
            self.optimizer.drop_gradients()
            raise failure or TrainingError("out of memory in another process; see its message")
        loss, _, _, tokens_of_all, *_ = sums.unbind()
        self.optimizer.step(loss, tokens_of_all, norm, rate)
        if self._average:
            self._average.update(self.optimizer.halted)
        return StepInProgress(figures)

    def go_on(self) -> None:
        """Let steps change the weights again, after one that was not finite."""
        self.optimizer.go_on()

    def _complete_gradients(self) -> None:
        """Give unused parameters, such as those of a dropped layer, a gradient of zero.

        Adam skips parameters without a gradient. With several processes they would have one from
        the others, so the number of processes would make a difference.
        """
        for parameter in self.network.parameters():
            if parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def _sum_over_processes(self, sums: Tensor) -> Tensor:
        """Sum up gradients and figures over all processes, in one call; return the figures."""
        if self._world.size == 1:
            return sums
        if is_sharded(self.network):  # the backward pass has summed up the gradients
            self._world.sum_(sums)
            return sums
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        gradients = [p.grad for p in parameters if p.grad is not None]
        try:
            flat = torch.cat([*(gradient.flatten() for gradient in gradients), sums])
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = ModelTooLarge("out of memory: no room for a second copy of the gradients")
            failure.shared = False
            raise failure from error
        self._world.sum_(flat)
        *parts, sums = torch.split(flat, [*(p.numel() for p in parameters), len(sums)])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.view_as(parameter)
        return sums

    def _accumulate(self, parts: list[Batch]) -> Tensor:
        """Accumulate gradients; return loss, nll and divergence, float32 [3]."""
        while True:
            sums_3 = torch.zeros(3, device=self._device)
            too_large = None
            for index, batch in enumerate(parts):
                try:
                    sums_3 += self._backward(batch)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    if is_sharded(self.network):
                        raise self._too_large_to_share(batch) from error
                    too_large = index
                    break
            # Outside the handler, because inside it the traceback keeps the tensors alive.
            if too_large is None:
                return sums_3
            if self._head:
                self._head.forget()
            # The interrupted backward pass has changed some gradients.
            self.optimizer.drop_gradients()
            parts[too_large : too_large + 1] = self._halves(parts[too_large])

    def _backward(self, batch: Batch) -> Tensor:
        _seed(self._config.seed, batch.epoch, batch.number)
        with self._world.connected() if is_sharded(self.network) else nullcontext():
            with autocast(self._config.precision, self._device):
                batch = self._noise(batch.to(self._device))
                loss, nll, divergence = self._losses(batch)
                if self._head:
                    loss = loss + self._head.loss(batch)
            if loss.requires_grad:  # not if all layers that learn are dropped
                loss.backward()  # type: ignore[no-untyped-call]
        return torch.stack([loss.detach(), nll, divergence])

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return loss, negative log-likelihood and divergence of a batch on the device."""
        smoothing = self._config.label_smoothing
        if self._views:
            return self._views.loss(self.network, batch, smoothing)
        loss, nll = batch_loss(self.network, batch, smoothing)
        return loss, nll, torch.zeros_like(nll)

    def _too_large_to_share(self, batch: Batch) -> TrainingError:
        failure = TrainingError(
            f"out of memory in a batch of {len(batch.rows)} pairs: with train.shard, no process "
            "can divide its batches; lower train.batch_tokens and raise train.accumulate"
        )
        failure.shared = False
        return failure

    def _halves(self, batch: Batch) -> tuple[Batch, Batch]:
        if len(batch.rows) == 1:
            raise TrainingError(
                f"out of memory: a pair of {batch.num_src_tokens} and {batch.num_tgt_tokens} "
                "tokens alone does not fit; lower data.max_length or use a smaller model"
            )
        if not self._has_split:
            self._has_split = True
            self._warn(
                f"out of memory in a batch of {len(batch.rows)} pairs: it and others of its size "
                "are processed in parts, with the same result but more slowly; a lower "
                "train.batch_tokens with a higher train.accumulate avoids this"
            )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return batch.halves(self._src_pad_id, self._tgt_pad_id)

    def whole_network(self) -> Network[Any]:
        """Return a network for evaluation; all processes must ask for it at the same time."""
        if self._average:
            weights = self._average.weights
            return network_with_weights(weights, "the moving average", *self._shape)
        if not is_sharded(self.network) and not has_factors(self.network):
            return self.network
        weights = {name: whole(weight) for name, weight in merged_weights(self.network).items()}
        return network_with_weights(weights, "the network", *self._shape).to(self._device)

    # The contents of a checkpoint

    @property
    def files(self) -> tuple[str, ...]:
        """The keys of `tensors`."""
        lora = ["lora"] if has_factors(self.network) else []
        return ("weights", "optimizer", *lora, *(["ema"] if self._average else []))

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Return weights and optimizer state, which determine the next steps.

        With `train.lora`, the weights are merged, and `lora` has what they are merged from. With
        `train.ema`, the weights are the average, and `ema` has those that training goes on with.

        These are no copies, unless they are divided among the processes. Then all must ask for them
        at the same time, and process 0 alone gets them.
        """
        merged, parts = merged_weights(self.network), unmerged_parameters(self.network)
        lora = {name: parameter.detach() for name, parameter in parts.items()}
        weights = self._average.weights if self._average else merged
        return {
            "weights": {name: self._kept(weight) for name, weight in weights.items()},
            **({"lora": lora} if lora else {}),
            **({"ema": self._average.tensors()} if self._average else {}),
            "optimizer": {
                name: self._kept(value) for name, value in self.optimizer.tensors().items()
            },
        }

    def restore(
        self, tensors: Mapping[str, Mapping[str, Tensor]], origin: str, *, complete: bool = True
    ) -> None:
        """Restore the state that `tensors` returned.

        Args:
            tensors: the state.
            origin: where it comes from, for messages.
            complete: whether it has the optimizer state of all parameters that are trained. If not,
                the others start without one, as in a new run.

        Raises:
            KeyError: if a tensor is missing.
            FileError: if the weights do not fit the network; the message names `origin`.
        """
        self.load(tensors["weights"], origin)
        with torch.no_grad():
            for name, parameter in unmerged_parameters(self.network).items():
                parameter.copy_(tensors["lora"][name])
        if self._average:
            self._average.restore(tensors["weights"], tensors["ema"])
        self.optimizer.restore(tensors["optimizer"], complete=complete)

    def load(self, weights: Mapping[str, Tensor], origin: str) -> None:
        """Load weights into the network.

        Raises:
            FileError: as in `restore`.
        """
        plain = self.network
        if has_factors(plain):
            with torch.device("meta"):
                plain = make_network(*self._shape)
        check_shapes(plain, weights, origin)
        with torch.no_grad():
            for name, parameter in ordinary_parameters(self.network).items():
                parameter.copy_(share(weights[name], parameter))
        if self._average:
            self._average.start()

    def _kept(self, tensor: Tensor) -> Tensor:
        if not is_sharded(self.network):
            return tensor
        full = whole(tensor)
        return full.cpu() if self._world.leads else full.new_empty(0)


def _seed(*key: int) -> None:
    """Let the random numbers that follow depend on a key alone."""
    [seed] = np.random.SeedSequence(key).generate_state(1, np.uint64)
    torch.manual_seed(int(seed))
