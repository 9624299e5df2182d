"""How much of what earlier heads write the queries, keys and values of a head read.

Composition of a head with an earlier one is ‖A B‖ / (‖A‖ ‖B‖) in Frobenius norms, in [0, 1] (Elhage et al. 2021, "A
Mathematical Framework for Transformer Circuits"), norms folded in. B is the earlier head's W_O W_V. A is W_QKᵀ for Q-,
W_QK for K- and W_O W_V for V-composition, where W_QK = W_Qᵀ W_K, for rotary models W_Qᵀ R W_K with the rotation R of a
key so many positions before its query. W_K and W_V are those of the head's KV head; since W_Q and W_O are its own, so
are its compositions.

A d_model × d_model matrix of rank d_head is never made: with S the symmetric root of W_V W_Vᵀ, W_O S has the norm of
W_O W_V, and keeps it whatever is multiplied from the left. So every head has one *writer* d_model × d_head and three
*readers* d_head × d_model.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from analysis.weights.residual import Heads

N_EARLIER = 10
_BASELINE_DRAWS = 200
_BASELINE_SEED = 0

Reader = Float[Tensor, "head d_head d_model"]
Writer = Float[Tensor, "head d_model d_head"]


def writer(heads: Heads) -> Writer:
    """What the OV circuit of each head writes."""
    return heads.o @ _root(heads.v @ heads.v.mT)


def query_reader(q: Reader, k: Reader) -> Reader:
    """What the queries of each head read, weighted by what its keys make of it; `q` rotated."""
    return _root(k @ k.mT) @ q


def key_reader(q: Reader, k: Reader) -> Reader:
    """What the keys of each head read, weighted by what its queries make of it; `q` rotated."""
    return _root(q @ q.mT) @ k


def value_reader(heads: Heads) -> Reader:
    """What the values of each head read, weighted by what it writes of it."""
    return _root(heads.o.mT @ heads.o) @ heads.v


def composition(
    reader: Float[Tensor, "head d_head d_model"], writer: Float[Tensor, "earlier d_model d_head"]
) -> Float[Tensor, "head earlier"]:
    """‖A B‖ / (‖A‖ ‖B‖) for every reader and every writer; in [0, 1]."""
    n_heads, d_head, _ = reader.shape
    products = reader.flatten(0, 1) @ writer.transpose(0, 1).flatten(1)
    norms = products.square().view(n_heads, d_head, len(writer), -1).sum((1, 3)).sqrt()
    return norms / torch.linalg.matrix_norm(reader)[:, None] / torch.linalg.matrix_norm(writer)


def strongest(ratios: Float[Tensor, "*heads earlier"]) -> tuple[Float[Tensor, "*heads 10"], Int[Tensor, "*heads 10"]]:
    """The 10 earlier heads with the largest ratios, by their number over the whole model; NaN and −1 where a head has
    fewer before it. A ratio that is not a number, as with a head of zeros, is never among them."""
    missing = (0, max(0, N_EARLIER - ratios.shape[-1]))
    known = functional.pad(ratios.masked_fill(ratios.isnan(), -torch.inf), missing, value=-torch.inf)
    best = known.topk(N_EARLIER)
    nobody = best.values.isinf()
    return best.values.masked_fill(nobody, torch.nan), best.indices.masked_fill(nobody, -1)


def baseline(d_model: int, d_head: int) -> dict[str, float]:
    """What composition is without any structure: mean and standard deviation over draws in which all four matrices
    have independent Gaussian entries."""
    generator = torch.Generator().manual_seed(_BASELINE_SEED)
    ratios = torch.empty(_BASELINE_DRAWS)
    for draw in range(_BASELINE_DRAWS):
        first, second, third, fourth = torch.randn(4, 1, d_head, d_model, generator=generator)
        ratios[draw] = composition(_root(second @ second.mT) @ first, third.mT @ _root(fourth @ fourth.mT))
    return {
        "mean": ratios.mean().item(),
        "standard_deviation": ratios.std().item(),
        "draws": _BASELINE_DRAWS,
        "seed": _BASELINE_SEED,
    }


def _root(gram: Float[Tensor, "head n n"]) -> Float[Tensor, "head n n"]:
    """The symmetric square root of positive semidefinite matrices."""
    values, vectors = torch.linalg.eigh(gram.double())
    return ((vectors * values.clamp(min=0).sqrt()[..., None, :]) @ vectors.mT).to(gram.dtype)
