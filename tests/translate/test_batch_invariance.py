"""In fp32, the output does not depend on the batch size."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
import torch
from torch.nn.functional import cross_entropy

from nmt.config.schema import Config
from nmt.config.search import SearchOptions
from nmt.data import phrasebook
from nmt.data.tokenizer import Tokenizer, Tokenizers
from nmt.model.build import make_network
from nmt.runs.model import TrainedModel
from nmt.translate.torch_engine import Networks, padded
from nmt.translate.translator import Translator

BATCH_TOKENS = (256, 2048, 16384)


def translations(model: TrainedModel, lines: list[str]) -> list[list[str]]:
    """Translate with beam size 4 at each batch size."""
    results = []
    for batch_tokens in BATCH_TOKENS:
        options = SearchOptions(beam_size=4, batch_tokens=batch_tokens)
        translator = Translator(Networks([model]), options)
        results.append([translation.text for translation in translator.translate(lines)])
    return results


def test_translations_do_not_depend_on_the_batch_size(
    any_model: TrainedModel, sentences: Callable[..., list[str]]
) -> None:
    lines = sentences(300, seed=3)
    small, medium, large = translations(any_model, lines)
    assert len(set(small)) > 200
    assert small == medium == large


@pytest.mark.slow
def test_phrasebook_translations_do_not_depend_on_the_batch_size() -> None:
    """The model is half trained: it knows the words, and scores of hypotheses are close."""
    lines = [pair.src for pair in phrasebook.pairs("test")]
    small, medium, large = translations(half_trained(phrasebook.pairs("train")), lines)
    assert len(set(small)) > 400
    assert small == medium == large


def half_trained(pairs: list[phrasebook.Pair]) -> TrainedModel:
    """Train for 300 steps, which takes half a minute."""
    file = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(text for pair in pairs[:4000] for text in (pair.src, pair.tgt)),
        model_writer=file,
        model_type="bpe",
        vocab_size=1000,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        minloglevel=2,
    )
    tokenizer = Tokenizer(file.getvalue())
    shape = {"d_model": 64, "num_heads": 4, "d_ff": 256, "encoder_layers": 2, "decoder_layers": 2}
    data = {"src_lang": "en", "tgt_lang": "de", "train": {"demo": "train"}}
    config = Config.model_validate({"data": data, "model": {**shape, "dropout": 0.0}})
    torch.manual_seed(1)
    tokenizers = Tokenizers(tokenizer, tokenizer)
    network = make_network(config.model, *tokenizers.sizes)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for start in range(0, 300 * 64, 64):
        batch = pairs[start : start + 64]
        src = [[*ids, 3] for ids in tokenizer.encode([pair.src for pair in batch])]
        tgt = tokenizer.encode([pair.tgt for pair in batch])
        logits_BTV = network(padded(src, 0), padded([[2, *ids] for ids in tgt], 0))
        tgt_out_BT = padded([[*ids, 3] for ids in tgt], 0)
        optimizer.zero_grad()
        cross_entropy(logits_BTV.flatten(0, 1), tgt_out_BT.flatten(), ignore_index=0).backward()
        optimizer.step()
    return TrainedModel(config, tokenizers, network.eval(), Path("half-trained"))
