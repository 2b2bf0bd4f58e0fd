"""The projection to the tokens of a shortlist."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from nmt.config.models import TransformerConfig
from nmt.model import int8
from nmt.model.transformer import Transformer
from nmt.translate.allowed import AllowedTokens


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@torch.inference_mode()
def test_logits_are_those_of_the_whole_vocabulary(bias: bool, quantised: bool) -> None:
    if quantised and not int8._is_supported():
        pytest.skip("no products in int8 on this processor")
    torch.manual_seed(1)
    shape = {"d_model": 32, "num_heads": 4, "d_ff": 64, "encoder_layers": 1, "decoder_layers": 1}
    config = TransformerConfig.model_validate({**shape, "output_bias": bias})
    network = Transformer(config, 50, 50, 0).eval()
    if bias:
        torch.nn.init.normal_(network.projection.bias)
    if quantised:
        int8.quantise(network)
    ids = [np.array(own, np.int32) for own in ([4, 9, 30], [9, 41])]
    allowed = AllowedTokens.of(ids, 2, next(network.parameters()))
    hidden = torch.randn(6, 32)
    expected = network.project(hidden)[:, [2, 4, 9, 30, 41]]
    assert_close(allowed.projection(network)(hidden), expected)
