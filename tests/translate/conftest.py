"""Tiny trained models and a real tokenizer."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from torch.nn.functional import cross_entropy

from nmt.config.schema import Config
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.model.build import make_network
from nmt.model.network import Network
from nmt.runs.model import TrainedModel
from nmt.translate.torch_engine import padded

torch.set_num_threads(1)  # the matrices are tiny, and other tests may run in parallel

WORDS = ["the", "cat", "dog", "sat", "on", "a", "mat", "ran", "home", "über", "naïve", "café"]


SHAPES = {
    "transformer": {"num_heads": 4, "d_ff": 64, "encoder_layers": 2, "decoder_layers": 2},
    "rnn": {"d_hidden": 48, "dropout": 0.1},
    "conv": {"d_hidden": 32, "encoder_layers": 2, "decoder_layers": 2, "dropout": 0.1},
}


def _sentences(number: int, seed: int, longest: int = 12) -> list[str]:
    draw = random.Random(seed)
    return [
        " ".join(draw.choices(WORDS, k=draw.randint(1, longest))) + draw.choice(".!?")
        for _ in range(number)
    ]


def _train_tokenizer(lines: list[str]) -> Tokenizer:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        vocab_size=60,
        hard_vocab_limit=False,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
    )
    return Tokenizer(model.getvalue())


def _make_model(tokenizer: Tokenizer, seed: int, **settings: object) -> TrainedModel:
    """Return a model trained for a second: it predicts EOS, and its hypotheses differ."""
    config = Config.model_validate(
        {
            "data": {
                "src_lang": "en",
                "tgt_lang": "xx",
                "train": {"demo": "train"},
                "max_length": 40,
            },
            "model": {
                "d_model": 32,
                "tie_embeddings": "none",
                **SHAPES[str(settings.get("kind", "transformer"))],
                **settings,
            },
        }
    )
    torch.manual_seed(seed)
    tokenizers = Tokenizers(tokenizer, tokenizer)
    network = make_network(config.model, *tokenizers.sizes)
    _learn_to_copy(network, tokenizer)
    return TrainedModel(config, tokenizers, network.eval(), Path(f"model-{seed}"))


def _learn_to_copy(network: Network[Any], tokenizer: Tokenizer) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    ids = tokenizer.encode(_sentences(30 * 32, seed=1))
    for start in range(0, len(ids), 32):
        batch = ids[start : start + 32]
        src_BS = padded([[*row, tokenizer.eos_id] for row in batch], tokenizer.pad_id)
        tgt_in_BT = src_BS.roll(1, dims=1)
        tgt_in_BT[:, 0] = tokenizer.bos_id
        logits_BTV = network(src_BS, tgt_in_BT)
        optimizer.zero_grad()
        cross_entropy(
            logits_BTV.flatten(0, 1), src_BS.flatten(), ignore_index=tokenizer.pad_id
        ).backward()
        optimizer.step()


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return _train_tokenizer(_sentences(500, seed=0))


@pytest.fixture(scope="session")
def model(tokenizer: Tokenizer) -> TrainedModel:
    return _make_model(tokenizer, seed=1)


@pytest.fixture(scope="session", params=SHAPES)
def any_model(
    request: pytest.FixtureRequest, tokenizer: Tokenizer, model: TrainedModel
) -> TrainedModel:
    """Return a model of each kind in turn."""
    if request.param == "transformer":
        return model
    return _make_model(tokenizer, seed=1, kind=request.param)


@pytest.fixture(scope="session")
def other_model(tokenizer: Tokenizer) -> TrainedModel:
    return _make_model(tokenizer, seed=2)


@pytest.fixture
def lines() -> list[str]:
    return _sentences(40, seed=7)


@pytest.fixture
def other_lines() -> list[str]:
    return _sentences(40, seed=8)


@pytest.fixture(scope="session")
def sentences() -> Callable[..., list[str]]:
    """Return a function (number, seed, longest=12) that returns random sentences."""
    return _sentences


@pytest.fixture(scope="session")
def make_model() -> Callable[..., TrainedModel]:
    """Return a function (tokenizer, seed, **keys of the `model` section) that trains a model."""
    return _make_model


@pytest.fixture(scope="session")
def train_tokenizer() -> Callable[[list[str]], Tokenizer]:
    return _train_tokenizer
