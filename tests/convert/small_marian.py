"""Small MarianMT models with small SentencePiece models, as transformers saves them."""

from __future__ import annotations

import io
import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from safetensors.torch import load_file

from nmt.data import phrasebook

transformers = pytest.importorskip("transformers")

_PAIRS = [(pair.src, pair.tgt) for pair in phrasebook.pairs("train") if len(pair.tgt) < 30][:200]
_MEMORISED, _STEPS, _WARMUP_STEPS = 24, 100, 15
LINES = [src for src, _ in _PAIRS[:_MEMORISED]]
OTHER_LINES = [*(src for src, _ in _PAIRS[_MEMORISED : _MEMORISED + 8]), "  ☃ Zebra quux 123"]
TEXTS = {"source": [src for src, _ in _PAIRS], "target": [tgt for _, tgt in _PAIRS]}
LONGEST = 60
_LACKING = 3
SHAPE = {
    "d_model": 48,
    "dropout": 0.0,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 96,
    "decoder_ffn_dim": 96,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "activation_function": "swish",
    "scale_embedding": True,
    "max_position_embeddings": 128,
}


def write_marian(
    folder: Path,
    *,
    spm: str = "unigram",
    separate: bool = False,
    codes: list[str] | None = None,
    steps: int = _STEPS,
    zero_start: bool = False,
    **settings: Any,
) -> Path:
    """Write a model that has memorised a few sentences.

    Args:
        folder: directory to create.
        spm: kind of the SentencePiece models.
        separate: whether each side has its own vocabulary.
        codes: language codes to add to the vocabulary.
        steps: training steps.
        zero_start: whether the decoder starts with an embedding of zeros, as in Marian.
        settings: keys of config.json.
    """
    folder.mkdir()
    models = {side: _train_spm(TEXTS[side], spm) for side in TEXTS}
    for side, model in models.items():
        (folder / f"{side}.spm").write_bytes(model)
    pieces = {side: _known_pieces(model, TEXTS[side]) for side, model in models.items()}
    if separate:
        vocabularies = [_vocabulary(pieces["source"]), _vocabulary(pieces["target"])]
    else:
        vocabularies = [_vocabulary([*pieces["source"], *pieces["target"], *(codes or [])])]
    names = ["vocab.json", "target_vocab.json"][: len(vocabularies)]
    for name, vocabulary in zip(names, vocabularies, strict=True):
        (folder / name).write_text(json.dumps(vocabulary), "utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"separate_vocabs": separate, "source_lang": "en", "target_lang": "de"})
    )
    model = small_model(len(vocabularies[0]), len(vocabularies[-1]), **settings)
    tokenizer = transformers.MarianTokenizer.from_pretrained(folder)
    _memorise(model, tokenizer, steps, zero_start=zero_start)
    model.save_pretrained(folder)
    return folder


def small_model(src_size: int, tgt_size: int, **settings: Any) -> Any:
    """Return a MarianMTModel with random weights, none of which is 0 or 1."""
    config = transformers.MarianConfig(
        **{
            **SHAPE,
            "vocab_size": src_size,
            "decoder_vocab_size": tgt_size,
            "pad_token_id": tgt_size - 1,
            "decoder_start_token_id": tgt_size - 1,
            "eos_token_id": 0,
            "forced_eos_token_id": 0,
            **settings,
        }
    )
    torch.manual_seed(1)
    model = transformers.MarianMTModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "embed_positions" not in name:
                is_unscaled = "embed" in name and not config.scale_embedding
                std = config.d_model**-0.5
                parameter.copy_((1.0 if is_unscaled else std) * torch.randn_like(parameter))
        model.final_logits_bias.copy_(0.5 * torch.randn(1, tgt_size))
    return model


def _memorise(model: Any, tokenizer: Any, steps: int, *, zero_start: bool) -> None:
    """Train on a few pairs, so that the choices of the model are clear."""
    src, tgt = zip(*_PAIRS[:_MEMORISED], strict=True)
    batch = tokenizer(list(src), text_target=list(tgt), return_tensors="pt", padding=True)
    batch["labels"].masked_fill_(batch["labels"] == model.config.pad_token_id, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / _WARMUP_STEPS, 1.0)
    )
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
        schedule.step()
        if zero_start:
            start = model.config.decoder_start_token_id
            model.model.decoder.embed_tokens.weight.detach()[start] = 0.0
    model.eval()


def _train_spm(lines: list[str], kind: str) -> bytes:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=kind,
        vocab_size=150,
        minloglevel=2,
    )
    return model.getvalue()


def _known_pieces(model: bytes, lines: list[str]) -> list[str]:
    """Return the pieces but a few, which are then unknown and not in the lines to memorise."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = [processor.id_to_piece(number) for number in range(3, len(processor))]
    used = {piece for line in lines[:_MEMORISED] for piece in processor.encode(line, out_type=str)}
    lacking = [piece for piece in pieces if piece not in used][-_LACKING:]
    assert len(lacking) == _LACKING
    return [piece for piece in pieces if piece not in lacking]


def _vocabulary(pieces: list[str]) -> dict[str, int]:
    shuffled = sorted(set(pieces))
    random.Random(1).shuffle(shuffled)
    return {piece: i for i, piece in enumerate(["</s>", "<unk>", *shuffled, "<pad>"])}


def generated(
    folder: Path, lines: list[str], beams: int, **options: Any
) -> tuple[list[list[int]], list[str]]:
    """Return what transformers generates for each line alone: ids without special ones, and text.

    As in nmt, no output has the unknown token, and the sum of log-probabilities ranks. Endless
    repetition is cut off.
    """
    model = transformers.MarianMTModel.from_pretrained(folder).eval()
    tokenizer = transformers.MarianTokenizer.from_pretrained(folder)
    pad, unk = model.config.pad_token_id, 1
    special = {pad, model.config.eos_token_id, model.config.decoder_start_token_id}
    rows = []
    for line in lines:
        [row] = model.generate(
            **tokenizer([line], return_tensors="pt"),
            num_beams=beams,
            length_penalty=0.0,
            early_stopping=True,
            do_sample=False,
            max_length=LONGEST + 1,  # the start counts, too
            **{"bad_words_ids": [[pad], [unk]], **options},
        ).tolist()
        rows.append([token for token in row if token not in special][: LONGEST - 1])
    return rows, tokenizer.batch_decode(rows, skip_special_tokens=True)  # without spaces at the end


def write_npz(folder: Path, source: Path) -> Path:
    """Write a model of `write_marian` in Marian's own format.

    Args:
        folder: directory to create.
        source: the model, which must have scaled embeddings and start with zeros.
    """
    folder.mkdir()
    config = json.loads((source / "config.json").read_text("utf-8"))
    tensors = load_file(source / "model.safetensors")
    target = "target_vocab.json" if (source / "target_vocab.json").exists() else "vocab.json"
    names = ["vocab.json", target]
    for side, name in zip(("source", "target"), names, strict=True):
        shutil.copy(source / f"{side}.spm", folder)
        vocabulary = json.loads((source / name).read_text("utf-8"))
        del vocabulary["<pad>"]
        lines = (f"{json.dumps(piece)}: {number}\n" for piece, number in vocabulary.items())
        (folder / f"{side}.yml").write_text("".join(lines), "utf-8")
    decoder = {"models": ["model.npz"], "vocabs": ["source.yml", "target.yml"], "beam-size": 6}
    (folder / "decoder.yml").write_text(json.dumps({**decoder, "normalize": 1}))
    np.savez(folder / "model.npz", **_arrays(tensors, config))
    return folder


def _arrays(tensors: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the weights by Marian's names; its matrices are [in, out], its vectors [1, out]."""
    options = {
        "type": "transformer",
        "dim-emb": config["d_model"],
        "enc-depth": config["encoder_layers"],
        "dec-depth": config["decoder_layers"],
        "transformer-heads": config["encoder_attention_heads"],
        "transformer-dim-ffn": config["encoder_ffn_dim"],
        "transformer-ffn-activation": config["activation_function"],
        "transformer-preprocess": "",
        "transformer-postprocess": "dan",
        "transformer-postprocess-emb": "d",
        "transformer-dropout": 0.1,
    }
    arrays = {"special:model.yml": np.frombuffer(json.dumps(options).encode() + b"\0", np.int8)}
    # The last row is padding.
    for ours, theirs in (
        ("model.shared.weight", "Wemb"),
        ("model.encoder.embed_tokens.weight", "encoder_Wemb"),
        ("model.decoder.embed_tokens.weight", "decoder_Wemb"),
        ("lm_head.weight", "decoder_ff_logit_out_Wt"),
    ):
        if ours in tensors:
            arrays[theirs] = tensors[ours][:-1].numpy()
    arrays["decoder_ff_logit_out_b"] = tensors["final_logits_bias"][:, :-1].numpy()
    for name, tensor in tensors.items():
        if match := re.fullmatch(r"model\.(encoder|decoder)\.layers\.(\d+)\.(.+)", name):
            side, layer, rest = match.groups()
            array = tensor.T if tensor.dim() == 2 else tensor[None]
            arrays[f"{side}_l{int(layer) + 1}_{_short_name(rest)}"] = array.numpy()
    return arrays


def _short_name(name: str) -> str:
    """Return Marian's name of a weight of a layer, without the prefix of the layer."""
    part, kind = name.rsplit(".", 1)
    sublayers = {"self_attn": "self", "encoder_attn": "context", "final": "ffn"}
    if part.endswith("_layer_norm"):
        sublayer = sublayers[part.removesuffix("_layer_norm")]
        last = "ffn" if sublayer == "ffn" else "Wo"
        return f"{sublayer}_{last}_ln_{'scale' if kind == 'weight' else 'bias'}"
    letter = "W" if kind == "weight" else "b"
    if part.startswith("fc"):
        return f"ffn_{letter}{part[2:]}"
    sublayer, projection = part.split(".")
    return f"{sublayers[sublayer]}_{letter}{projection[0]}"
