"""Hugging Face transformers' MarianMT: training in the common loop, translation with `generate`.

For translation it gets nmt's weights. It supports post-norm only, and translates ids, not text.
"""

from __future__ import annotations

import time

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import MarianConfig, MarianMTModel
from worker import (
    BOS,
    EOS,
    PAD,
    Answer,
    Request,
    Unsupported,
    check_lengths,
    padded,
    peak_memory,
    serve,
    smoothed_loss,
    synchronize,
    train,
)


def make_model(request: Request) -> MarianMTModel:
    shape = request["shape"]
    config = MarianConfig(
        vocab_size=request["vocab_size"],
        d_model=shape["d_model"],
        encoder_layers=shape["encoder_layers"],
        decoder_layers=shape["decoder_layers"],
        encoder_attention_heads=shape["num_heads"],
        decoder_attention_heads=shape["num_heads"],
        encoder_ffn_dim=shape["d_ff"],
        decoder_ffn_dim=shape["d_ff"],
        activation_function="relu",
        dropout=0.1,
        attention_dropout=0.0,
        activation_dropout=0.0,
        scale_embedding=True,
        max_position_embeddings=512,
        pad_token_id=PAD,
        bos_token_id=BOS,
        eos_token_id=EOS,
        forced_eos_token_id=None,
        decoder_start_token_id=BOS,
    )
    torch.manual_seed(1)
    torch.set_num_threads(request["threads"])
    return MarianMTModel(config)


def train_transformers(request: Request) -> Answer:
    model = make_model(request)

    def batch_loss(src_BS: Tensor, tgt_in_BT: Tensor, tgt_out_BT: Tensor) -> Tensor:
        output = model(input_ids=src_BS, attention_mask=src_BS != PAD, decoder_input_ids=tgt_in_BT)
        return smoothed_loss(output.logits, tgt_out_BT)

    return train(request, model, batch_loss)


def converted(weights: dict[str, Tensor], shape: dict[str, object]) -> dict[str, Tensor]:
    """Return nmt's weights under Marian's names; the biases of its attention are zero."""
    renamed: dict[str, Tensor] = {"model.shared.weight": weights["src_embedding.weight"]}

    def attention(theirs: str, ours: str) -> None:
        parts = weights[f"{ours}.qkv_weight"].chunk(3)
        named = zip(("q", "k", "v", "out"), (*parts, weights[f"{ours}.out_weight"]), strict=True)
        for name, weight in named:
            renamed[f"{theirs}.{name}_proj.weight"] = weight
            renamed[f"{theirs}.{name}_proj.bias"] = torch.zeros(len(weight))

    def both(theirs: str, ours: str) -> None:
        for name in ("weight", "bias"):
            renamed[f"{theirs}.{name}"] = weights[f"{ours}.{name}"]

    for side, norms in (
        ("encoder", ("self_attn", "final")),
        ("decoder", ("self_attn", "encoder_attn", "final")),
    ):
        for number in range(int(str(shape[f"{side}_layers"]))):
            theirs, ours = f"model.{side}.layers.{number}", f"{side}_layers.{number}"
            attention(f"{theirs}.self_attn", f"{ours}.self_attention")
            if side == "decoder":
                attention(f"{theirs}.encoder_attn", f"{ours}.cross_attention")
            both(f"{theirs}.fc1", f"{ours}.feed_forward.inner")
            both(f"{theirs}.fc2", f"{ours}.feed_forward.outer")
            for place, norm in enumerate(norms):
                both(f"{theirs}.{norm}_layer_norm", f"{ours}.residuals.{place}.norm")
    return renamed


def translate_transformers(request: Request) -> Answer:
    shape = request["shape"]
    common = shape["activation"] == "relu" and shape["positions"]["kind"] == "sinusoidal"
    if shape["norm"] != "post" or shape["tie_embeddings"] != "all" or not common:
        raise Unsupported("MarianMT supports only post-norm, shared embeddings, relu and sinusoids")
    model = make_model(request)
    weights = load_file(request["weights"])
    missing, unexpected = model.load_state_dict(converted(weights, shape), strict=False)
    allowed = ("embed_tokens", "embed_positions", "lm_head", "final_logits_bias")
    wrong = [*unexpected, *(name for name in missing if not any(a in name for a in allowed))]
    if wrong:
        raise Unsupported(f"unexpected names of weights: {wrong[:3]}")
    model.tie_weights()
    positions = weights["positions"]
    for side in (model.model.encoder, model.model.decoder):
        side.embed_positions.weight.data = positions[: len(side.embed_positions.weight)].clone()
    device = request["device"]
    dtype = torch.bfloat16 if request["precision"] == "bf16" else torch.float32
    model = model.to(device, dtype).eval()

    def translate(sources: list[list[int]]) -> list[list[int]]:
        outputs: list[list[int]] = [[] for _ in sources]
        places = sorted(range(len(sources)), key=lambda place: -len(sources[place]))
        for first in range(0, len(places), request["batch_size"]):
            batch = places[first : first + request["batch_size"]]
            src_BS = padded([[*sources[place], EOS] for place in batch]).to(device)
            limit = request["num_tokens"] or src_BS.shape[1] + request["max_extra_len"]
            ids_BT = model.generate(
                src_BS,
                attention_mask=(src_BS != PAD).long(),
                num_beams=request["beam_size"],
                length_penalty=0.75 * request["length_penalty"],
                early_stopping=True,
                do_sample=False,
                max_new_tokens=limit,
                min_new_tokens=request["num_tokens"] or 0,
                suppress_tokens=[PAD, BOS],
            )
            for place, ids in zip(batch, ids_BT.tolist(), strict=True):
                outputs[place] = [token for token in ids[1:] if token not in (PAD, EOS)]
        return outputs

    with torch.inference_mode():
        translate(request["warm_up"])
        synchronize(device)
        start = time.monotonic()
        ids = translate(request["sources"])
    seconds = time.monotonic() - start
    check_lengths(ids, request["num_tokens"])
    return {"seconds": seconds, "ids": ids, "peak_MB": peak_memory(device)}


serve({"train": train_transformers, "translate": translate_transformers})
