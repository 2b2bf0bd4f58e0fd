"""Scaled dot-product and multi-head attention (paper, section 3.2).

A mask is True where attention is allowed.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nmt.model.cache import KeyValues, Past
from nmt.model.dropout import dropout
from nmt.model.kernels import cpu, cuda


def scaled_dot_product_attention(
    q_BHLK: Tensor, k_BHMK: Tensor, v_BHMK: Tensor, mask: Tensor | None, dropout_p: float = 0.0
) -> Tensor:
    """Return softmax(q k^T / sqrt(d_k)) v (paper, equation 1).

    Args:
        q_BHLK: queries.
        k_BHMK: keys, of the same width as the queries.
        v_BHMK: values; their width may differ.
        mask: bool, broadcastable to [B, H, L, M]; allows at least one key for every query.
        dropout_p: dropout on the attention weights.

    Returns:
        [B, H, L, width of the values].
    """
    if q_BHLK.is_cuda:
        return cuda.attention(q_BHLK, k_BHMK, v_BHMK, mask, dropout_p)
    return dropout(attention_weights(q_BHLK, k_BHMK, mask), dropout_p) @ v_BHMK


def attention_weights(q_BHLK: Tensor, k_BHMK: Tensor, mask: Tensor | None) -> Tensor:
    """Return softmax(q k^T / sqrt(d_k)), the weight of each value for each query.

    Args:
        q_BHLK, k_BHMK, mask: as in `scaled_dot_product_attention`.

    Returns:
        [B, H, L, M]; rows sum to 1, and masked keys have weight 0.
    """
    # Without contiguous(), the product copies the transposed keys element by element.
    scores_BHLM = (q_BHLK * q_BHLK.shape[-1] ** -0.5) @ k_BHMK.contiguous().transpose(-2, -1)
    if mask is not None:
        scores_BHLM = scores_BHLM.masked_fill(~mask, torch.finfo(scores_BHLM.dtype).min)
    return cpu.softmax(scores_BHLM)


class MultiHeadAttention(nn.Module):
    """MultiHead(Q, K, V) = Concat(head_1, ..., head_h) W^O (paper, section 3.2.2).

    The projections have no bias, as in the paper, unless there is to be one. W^Q, W^K and W^V of
    all heads form one matrix, so that self-attention needs a single product.

    Args:
        d_model: width of input and output.
        num_heads: h.
        d_k: width of the queries and keys of a head.
        d_v: width of the values of a head.
        dropout_p: dropout on the attention weights.
        bias: add a bias to all four projections, initially 0.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_k: int,
        d_v: int,
        dropout_p: float,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        # Total widths of queries, keys and values over all heads.
        self.widths = [num_heads * d_k, num_heads * d_k, num_heads * d_v]
        self.dropout_p = dropout_p
        self.qkv_weight = nn.Parameter(torch.empty(sum(self.widths), d_model))
        self.out_weight = nn.Parameter(torch.empty(d_model, num_heads * d_v))
        self.qkv_bias = nn.Parameter(torch.zeros(sum(self.widths))) if bias else None
        self.out_bias = nn.Parameter(torch.zeros(d_model)) if bias else None
        for weight in [*torch.split(self.qkv_weight, self.widths), self.out_weight]:
            nn.init.xavier_uniform_(weight)

    def forward(
        self,
        x_BLD: Tensor,
        mask: Tensor | None,
        *,
        memory: KeyValues | None = None,
        past: Past | None = None,
        start: int = 0,
    ) -> Tensor:
        """Attend from a sequence to a memory, or to the sequence itself if there is none.

        Args:
            x_BLD: the sequence; with `past`, its newest positions.
            mask: bool, broadcastable to [B, H, L, M]; None allows everything.
            memory: keys and values of the sequence to attend to, from `keys_values`.
            past: cache of earlier positions; the keys and values of x_BLD are written to it.
            start: first slot of `past` to write.

        Returns:
            [B, L, d_model].
        """
        q_BHLK, keys_values = self._project(x_BLD, memory)
        if past is not None:
            past.write(keys_values, start)
            keys_values = past
        heads_BHLK = scaled_dot_product_attention(
            q_BHLK,
            keys_values.k_BHMK,
            keys_values.v_BHMK,
            mask,
            self.dropout_p if self.training else 0.0,
        )
        return self.project_out(heads_BHLK.transpose(1, 2).flatten(2))

    def weights(
        self, x_BLD: Tensor, mask: Tensor | None, *, memory: KeyValues | None = None
    ) -> Tensor:
        """Return the weights [B, H, L, M] that `forward` uses, before dropout.

        Args:
            x_BLD, mask, memory: as in `forward`.
        """
        q_BHLK, keys_values = self._project(x_BLD, memory)
        return attention_weights(q_BHLK, keys_values.k_BHMK, mask)

    def first_head_log_weights(
        self, x_BLD: Tensor, mask: Tensor | None, *, memory: KeyValues
    ) -> Tensor:
        """Return the logarithms of the first head's weights before dropout, float32 [B, L, M].

        It costs no more than that head.

        Args:
            x_BLD, memory: as in `forward`.
            mask: as in `forward`, the same for all heads.
        """
        width = self.widths[0] // self.num_heads
        rows = slice(width)
        q_BLK = F.linear(x_BLD, self.qkv_weight[rows], _rows_of(self.qkv_bias, rows))
        scores_BLM = ((q_BLK * width**-0.5) @ memory.k_BHMK[:, 0].transpose(-2, -1)).float()
        if mask is not None:
            scores_BLM = scores_BLM.masked_fill(~mask[:, 0], torch.finfo(scores_BLM.dtype).min)
        log_weights_BLM: Tensor = scores_BLM.log_softmax(dim=-1)
        return log_weights_BLM

    def empty_past(self, batch_size: int) -> Past:
        """Return the empty cache that decoding starts from."""
        empty = [
            self.qkv_weight.new_empty(batch_size, self.num_heads, 0, width // self.num_heads)
            for width in self.widths[1:]
        ]
        return Past(*empty)

    def keys_values(self, memory_BMD: Tensor) -> KeyValues:
        """Return the keys and values of a memory, for `forward` to attend to."""
        kv_BMX = self.project_memory(memory_BMD)
        return KeyValues(*map(self._split_heads, torch.split(kv_BMX, self.widths[1:], dim=-1)))

    # The four products, which `nmt.model.int8` replaces.

    def project_queries(self, x_BLD: Tensor) -> Tensor:
        """Return the queries of all heads, [B, L, h * d_k]."""
        rows = slice(self.widths[0])
        return F.linear(x_BLD, self.qkv_weight[rows], _rows_of(self.qkv_bias, rows))

    def project_memory(self, x_BMD: Tensor) -> Tensor:
        """Return the keys and values of all heads, [B, M, h * (d_k + d_v)]."""
        rows = slice(self.widths[0], None)
        return F.linear(x_BMD, self.qkv_weight[rows], _rows_of(self.qkv_bias, rows))

    def project_all(self, x_BLD: Tensor) -> Tensor:
        """Return queries, keys and values of all heads, [B, L, h * (2 * d_k + d_v)]."""
        return F.linear(x_BLD, self.qkv_weight, self.qkv_bias)

    def project_out(self, heads_BLX: Tensor) -> Tensor:
        """Combine the heads, [B, L, h * d_v] to [B, L, d_model]."""
        return F.linear(heads_BLX, self.out_weight, self.out_bias)

    def _project(self, x_BLD: Tensor, memory: KeyValues | None) -> tuple[Tensor, KeyValues]:
        """Return the queries of a sequence, and the keys and values they attend to."""
        if memory is not None:
            return self._split_heads(self.project_queries(x_BLD)), memory
        qkv_BLX = self.project_all(x_BLD)
        q_BHLK, k_BHLK, v_BHLK = map(self._split_heads, torch.split(qkv_BLX, self.widths, dim=-1))
        return q_BHLK, KeyValues(k_BHLK, v_BHLK)

    def _split_heads(self, x_BLX: Tensor) -> Tensor:
        return x_BLX.view(*x_BLX.shape[:2], self.num_heads, -1).transpose(1, 2)


def _rows_of(bias: Tensor | None, rows: slice) -> Tensor | None:
    return None if bias is None else bias[rows]
