"""LayerDrop: how often layers are left out, and only in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nmt.config.models import TransformerConfig
from nmt.model.transformer import Transformer


def network(**keys: Any) -> Transformer:
    torch.manual_seed(1)
    sizes = {"d_model": 8, "num_heads": 2, "d_ff": 8, "encoder_layers": 3, "decoder_layers": 2}
    config = TransformerConfig.model_validate({**sizes, "dropout": 0.0, **keys})
    return Transformer(config, 20, 20, 0)


IDS = torch.randint(1, 20, (2, 3, 5))


def test_layers_are_left_out_at_the_rate() -> None:
    model = network(layer_dropout=0.3).train()
    computed = 0

    def count(*_: object) -> None:
        nonlocal computed
        computed += 1

    for layer in (*model.encoder_layers, *model.decoder_layers):
        layer.register_forward_hook(count)
    for _ in range(200):
        model.hidden(*IDS)
    assert computed / (200 * 5) == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_layer_left_out_passes_its_input_on(norm: str) -> None:
    """With a rate of almost 1, only embeddings and the last normalisation are left."""
    model = network(layer_dropout=1 - 1e-9, norm=norm).train()
    out_BTD = model.hidden(*IDS)
    positions_TD = model.tgt_positions(0, IDS.shape[-1])
    embedded_BTD = model._embed(IDS[1], model.tgt_embedding, positions_TD)
    assert torch.equal(out_BTD, model.decoder_norm(embedded_BTD))


def test_all_layers_are_there_outside_training() -> None:
    model, plain = network(layer_dropout=0.9).eval(), network().eval()
    assert torch.equal(model(*IDS), plain(*IDS))


def test_activation_checkpointing_leaves_out_the_same_layers() -> None:
    found = []
    for checkpointing in (False, True):
        model = network(layer_dropout=0.5).train()
        model.checkpoints_activations = checkpointing
        torch.manual_seed(3)
        model(*IDS).sum().backward()  # type: ignore[no-untyped-call]
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    assert len(found[0]) < len(list(network().parameters()))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
