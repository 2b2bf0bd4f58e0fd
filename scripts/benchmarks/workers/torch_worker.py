"""Plain eager PyTorch: torch.nn.Transformer, tied embeddings, autocast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from worker import PAD, Answer, Request, serve, sinusoids, smoothed_loss, train


class Model(nn.Module):
    """The model of the PyTorch tutorial on translation, with one matrix for all embeddings."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        shape = request["shape"]
        self.width = shape["d_model"]
        self.embedding = nn.Embedding(request["vocab_size"], self.width)
        nn.init.normal_(self.embedding.weight, std=self.width**-0.5)
        self.register_buffer("positions", sinusoids(512, self.width))
        self.dropout = nn.Dropout(shape["dropout"])
        self.transformer = nn.Transformer(
            self.width,
            shape["num_heads"],
            shape["encoder_layers"],
            shape["decoder_layers"],
            shape["d_ff"],
            dropout=shape["dropout"],
            batch_first=True,
        )

    def embed(self, ids_BL: Tensor) -> Tensor:
        x_BLD = self.embedding(ids_BL) * self.width**0.5 + self.positions[: ids_BL.shape[1]]
        return self.dropout(x_BLD)

    def forward(self, src_BS: Tensor, tgt_in_BT: Tensor) -> Tensor:
        is_pad_BS = src_BS == PAD
        causal_TT = torch.ones(
            tgt_in_BT.shape[1], tgt_in_BT.shape[1], dtype=torch.bool, device=src_BS.device
        ).triu(1)
        hidden_BTD = self.transformer(
            self.embed(src_BS),
            self.embed(tgt_in_BT),
            tgt_mask=causal_TT,
            src_key_padding_mask=is_pad_BS,
            memory_key_padding_mask=is_pad_BS,
            tgt_is_causal=True,
        )
        return F.linear(hidden_BTD, self.embedding.weight)


def train_torch(request: Request) -> Answer:
    torch.manual_seed(1)
    torch.set_num_threads(request["threads"])
    model = Model(request)
    return train(request, model, lambda src, tgt_in, out: smoothed_loss(model(src, tgt_in), out))


serve({"train": train_torch})
