"""Small models that have memorised a few phrasebook sentences, so that their choices are clear."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from torch.nn.functional import cross_entropy

from nmt.config.schema import Config
from nmt.data import phrasebook
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.model.build import make_network
from nmt.runs.model import TrainedModel
from nmt.translate.torch_engine import padded

torch.set_num_threads(1)  # tiny matrices; other tests may run at the same time

_SENTENCES, _STEPS, _WARMUP_STEPS = 24, 80, 15

Pairs = list[tuple[str, str]]


def _train_tokenizer(lines: list[str], **settings: Any) -> Tokenizer:
    model = io.BytesIO()
    ids = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type="bpe",
        minloglevel=2,
        **{"vocab_size": 160, **ids, **settings},
    )
    return Tokenizer(model.getvalue())


@pytest.fixture(scope="session")
def train_tokenizer() -> Callable[..., Tokenizer]:
    """Return a function (lines, **settings of SentencePiece)."""
    return _train_tokenizer


@pytest.fixture(scope="session")
def pairs() -> Pairs:
    short = (pair for pair in phrasebook.pairs("train") if len(pair.tgt) < 30)
    return [(pair.src, pair.tgt) for pair in itertools.islice(short, _SENTENCES)]


@pytest.fixture(scope="session")
def lines(pairs: Pairs) -> list[str]:
    return [src for src, _ in pairs]


@pytest.fixture(scope="session")
def joint(pairs: Pairs) -> Tokenizers:
    return Tokenizers(*[_train_tokenizer([line for pair in pairs for line in pair])] * 2)


@pytest.fixture(scope="session")
def separate(pairs: Pairs) -> Tokenizers:
    src, tgt = zip(*pairs, strict=True)
    # The source model has no padding piece: pad_id is one past the last piece.
    return Tokenizers(
        _train_tokenizer(list(src), vocab_size=120, pad_id=-1, unk_id=0, bos_id=1, eos_id=2),
        _train_tokenizer(list(tgt)),
    )


@pytest.fixture(scope="session")
def make_model(pairs: Pairs) -> Callable[..., TrainedModel]:
    """Return a function (tokenizers, training steps, **settings of the section model)."""

    def make(tokenizers: Tokenizers, steps: int = _STEPS, **settings: Any) -> TrainedModel:
        shape = {"d_model": 48, "num_heads": 4, "d_ff": 96, "encoder_layers": 2}
        config = Config.model_validate(
            {
                "data": {
                    "src_lang": "en",
                    "tgt_lang": "de",
                    "train": {"demo": "train"},
                    "max_length": 40,
                },
                "tokenizer": {"joint": tokenizers.joint},
                "model": {**shape, "decoder_layers": 2, **settings},
            }
        )
        torch.manual_seed(1)
        model = TrainedModel(
            config, tokenizers, make_network(config.model, *tokenizers.sizes), Path("a-run")
        )
        _learn(model, pairs, steps)
        model.network.eval()
        return model

    return make


def _learn(model: TrainedModel, pairs: Pairs, steps: int) -> None:
    optimizer = torch.optim.Adam(model.network.parameters(), lr=5e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / _WARMUP_STEPS, 1.0)
    )
    src, tgt = model.tokenizers
    src_ids = src.encode([pair[0] for pair in pairs])
    tgt_ids = tgt.encode([pair[1] for pair in pairs])
    src_BS = padded([[*ids, src.eos_id] for ids in src_ids], src.pad_id)
    tgt_in_BT = padded([[tgt.bos_id, *ids] for ids in tgt_ids], tgt.pad_id)
    tgt_out_BT = padded([[*ids, tgt.eos_id] for ids in tgt_ids], tgt.pad_id)
    for _ in range(steps):
        logits_BTV = model.network(src_BS, tgt_in_BT)
        loss = cross_entropy(
            logits_BTV.flatten(0, 1),
            tgt_out_BT.flatten(),
            ignore_index=tgt.pad_id,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
