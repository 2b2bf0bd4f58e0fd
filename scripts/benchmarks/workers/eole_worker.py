"""eole's own model, trained in the common loop.

The eole command cannot read ready-made batches. So this builds eole's model as `eole train` does,
and trains it with the equivalent of its loss and optimizer: torch's label-smoothed cross-entropy
over all positions, and Adam under autocast. Layers are pre-norm, eole's default.
"""

from __future__ import annotations

import torch
from eole.config.models import TransformerModelConfig
from eole.config.training import TrainingConfig
from eole.models.model import EncoderDecoderModel
from torch import Tensor
from worker import PAD, Answer, Request, serve, smoothed_loss, train


def make_model(request: Request) -> EncoderDecoderModel:
    shape = request["shape"]
    config = TransformerModelConfig(
        layers=shape["encoder_layers"],
        hidden_size=shape["d_model"],
        heads=shape["num_heads"],
        transformer_ff=shape["d_ff"],
        mlp_activation_fn="relu",
        add_ffnbias=True,
        embeddings={
            "word_vec_size": shape["d_model"],
            "position_encoding_type": "SinusoidalInterleaved",
        },
        share_embeddings=True,
        share_decoder_embeddings=True,
        generator_bias=False,
    )
    training = TrainingConfig(
        dropout=[request["shape"]["dropout"]],
        attention_dropout=[0.0],
        param_init_method="xavier_uniform",
    )
    ids = {f"piece {number}": number for number in range(request["vocab_size"])}
    vocabs = {"src": ids, "tgt": ids, "specials": {"pad_token": f"piece {PAD}"}}
    model = EncoderDecoderModel.build(config, vocabs, training)
    model.init_weights(training)
    return model


def train_eole(request: Request) -> Answer:
    torch.manual_seed(1)
    torch.set_num_threads(request["threads"])
    model = make_model(request)

    def batch_loss(src_BS: Tensor, tgt_in_BT: Tensor, tgt_out_BT: Tensor) -> Tensor:
        # eole expects the target with BOS and EOS, and drops the last position itself.
        tgt = torch.cat([tgt_in_BT, tgt_in_BT.new_full((len(tgt_in_BT), 1), PAD)], dim=1)
        output = model(src_BS, tgt, (src_BS != PAD).sum(dim=1))
        return smoothed_loss(model.generator(output.dec_out), tgt_out_BT)

    return train(request, model, batch_loss)


serve({"train": train_eole})
