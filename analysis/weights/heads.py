"""What each head of a layer writes for a token that it attends to, and which tokens attend to which.

All on the direct path: the layer's norm applied to rows of W_E, without what positions and earlier layers add.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis.weights.residual import Heads, Tokens, rotated
from analysis.weights.top import top

N_OV_TOKENS = 10
N_QUERIES = 5
N_QK_TOKENS = 5


def overlap(heads: Heads, tokens: Tokens) -> Float[Tensor, "d_model d_model"]:
    """Σ over tokens of (normalised embedding) ⊗ (folded unembedding): all that copying asks of the vocabulary."""
    return tokens.normalised(heads.norm).T @ tokens.unembedding


def copying(heads: Heads, overlap: Float[Tensor, "d_model d_model"]) -> Float[Tensor, " head"]:
    """The OV copying score of each head: Σ Re λ / Σ |λ| over the eigenvalues of its full OV circuit W_U W_O W_V W_E,
    in [−1, 1]; 1 where attending to a token can only raise that token's own logit (Elhage et al. 2021, "A
    Mathematical Framework for Transformer Circuits").

    The circuit is [token, token] of rank d_head; the same eigenvalues other than 0 belong to the [d_head, d_head]
    product taken in the order W_V (W_E W_U) W_O.
    """
    eigenvalues = torch.linalg.eigvals((heads.v @ overlap @ heads.o).double().cpu())
    return (eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1)).float()


def ov_tokens(heads: Heads, tokens: Tokens, keys: Int[Tensor, "head key"]) -> dict[str, Tensor]:
    """What each head writes when it attends to each of its key tokens (−1: none).

    `ov_tokens` int64 [head, key, 10], the tokens promoted most, `ov_logits` float32 [head, key, 10], their logits
    centred over the vocabulary where the final norm divides by 1, and `ov_own_rank` int64 [head, key]: 1 + the number
    of tokens promoted more than the key token itself. Biases are left out: they add the same whatever the head
    attends to. Absent keys have −1 and NaN.
    """
    embedding = tokens.normalised(heads.norm)[keys.clamp(min=0)]
    written = torch.einsum("hkm,hdm,hnd->hkn", embedding, heads.v, heads.o)
    found = []
    for head_written, head_keys in zip(written, keys.clamp(min=0), strict=True):
        logits = head_written @ tokens.unembedding.T
        own = logits.gather(1, head_keys[:, None])
        found.append((*top(logits, N_OV_TOKENS), (logits > own).sum(1) + 1))
    values, promoted, ranks = (torch.stack(parts) for parts in zip(*found, strict=True))
    nobody = keys < 0
    return {
        "ov_tokens": promoted.masked_fill(nobody[..., None], -1),
        "ov_logits": values.masked_fill(nobody[..., None], torch.nan),
        "ov_own_rank": ranks.masked_fill(nobody, -1),
    }


def own_first_share(ranks: Int[Tensor, "head key"]) -> Float[Tensor, " head"]:
    """The share of a head's key tokens that its OV circuit promotes above all others, in [0, 1]; NaN without any."""
    return (ranks == 1).sum(1) / (ranks > 0).sum(1)


def qk_tokens(
    heads: Heads,
    tokens: Tokens,
    queries: Int[Tensor, "head query"],
    *,
    scaling: float,
    frequencies: Float[Tensor, " half"] | None,
    offsets: tuple[int, ...],
) -> dict[str, Tensor]:
    """The key tokens that each of a head's query tokens (−1: none) scores highest, over the whole vocabulary.

    `qk_tokens` int64 [head, offset, query, 5] and `qk_scores` float32: attention scores before softmax, biases and
    the factor 1/√d_head included and any soft cap left out (it keeps the order), of a query whose residual stream is
    its token's embedding on such a key, `offsets` positions before it; without `frequencies` what positions add is
    left out, and the one offset says nothing. Absent queries have −1 and NaN.
    """
    embedding = tokens.normalised(heads.norm)
    vectors = torch.einsum("hqm,hdm->hqd", embedding[queries.clamp(min=0)], heads.q) + heads.q_constant[:, None]
    vectors = scaling * torch.stack(
        [vectors if frequencies is None else rotated(vectors, frequencies, offset) for offset in offsets], 1
    )
    readers = torch.einsum("hoqd,hdm->hoqm", vectors, heads.k)
    constants = torch.einsum("hoqd,hd->hoq", vectors, heads.k_constant)
    values, keys = top(readers.flatten(0, 2) @ embedding.T, N_QK_TOKENS)
    shape = (*constants.shape, values.shape[1])
    nobody = (queries < 0)[:, None, :, None].expand(shape)
    return {
        "qk_tokens": keys.view(shape).masked_fill(nobody, -1),
        "qk_scores": (values.view(shape) + constants[..., None]).masked_fill(nobody, torch.nan),
    }
