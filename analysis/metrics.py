"""The one table of what is measured: measuring, pages, JSON, finder and glossary read it. No torch.

A[q,k] is the attention that query position q pays to key position k; position 0 is the BOS token. Values are means over
the named queries or positions of all rows of a survey, with a standard error over documents.
"""

from __future__ import annotations

import dataclasses
import enum

from analysis.schema import ComponentKind, DatasetKind


@dataclasses.dataclass(frozen=True)
class Metric:
    """One figure of every head, neuron or layer: its name everywhere, and what it means."""

    key: str
    label: str
    unit: str  # empty for a share of attention and other pure numbers
    low: float | None  # None: unbounded
    high: float | None  # None: bounded by nothing but the rows or the model
    definition: str
    # None: read from the weights alone
    dataset_kind: DatasetKind | None
    component: ComponentKind = ComponentKind.HEAD
    is_mean: bool = True  # over queries or positions, so that it has a standard error


def _share(key: str, label: str, definition: str, kind: DatasetKind = DatasetKind.NATURAL) -> Metric:
    return Metric(key, label, "", 0.0, 1.0, definition, kind)


HEAD_METRICS: tuple[Metric, ...] = (
    _share(
        "induction_repeated",
        "induction (repeated)",
        "Mean of A[q,q−49] over the second half of BOS + 2 × 50 random tokens: attention to the token that followed "
        "the previous occurrence of the current token.",
        DatasetKind.REPEATED,
    ),
    _share(
        "induction",
        "induction (text)",
        "Mean of Σⱼ A[q,j+1] over the queries that have an earlier j with the same token (1 ≤ j, j+1 < q): attention "
        "in natural text to the tokens that followed earlier occurrences of the current token.",
    ),
    _share(
        "previous_token",
        "previous token",
        "Mean of A[q,q−1] over q ≥ 2: attention to the token just before.",
    ),
    Metric(
        "ov_copying",
        "copying (OV)",
        "",
        -1.0,
        1.0,
        "Σ Re λ / Σ |λ| over the eigenvalues λ of the head's full OV circuit, from the embedding to the unembedding "
        "with the norms' gains folded in: 1 where what is attended to is promoted, −1 where it is suppressed.",
        None,
        is_mean=False,
    ),
    _share(
        "first_token",
        "first token",
        "Mean of A[q,0] over q ≥ 1: attention to the BOS token, where many heads rest.",
    ),
    _share("self", "self", "Mean of A[q,q] over q ≥ 1: attention of a token to itself."),
    _share(
        "duplicate_token",
        "duplicate token",
        "Mean of Σⱼ A[q,j] over the queries that have an earlier j with the same token (1 ≤ j < q): attention to "
        "earlier occurrences of the current token.",
    ),
    Metric(
        "entropy",
        "entropy",
        "nats",
        0.0,
        None,
        "Mean over q ≥ 1 of −Σₖ A[q,k] ln A[q,k], over all keys: 0 when one key gets everything.",
        DatasetKind.NATURAL,
    ),
    Metric(
        "entropy_off_sink",
        "entropy off sink",
        "nats",
        0.0,
        None,
        "The same over the keys k ≥ 1 alone, whose attention is scaled up to sum to 1; over queries q ≥ 1 that give "
        "them more than .0001.",
        DatasetKind.NATURAL,
    ),
    Metric(
        "distance_mean",
        "distance",
        "tokens",
        0.0,
        None,
        "Mean over q ≥ 1 of Σₖ A[q,k]·(q−k), over all keys: how far back the head looks.",
        DatasetKind.NATURAL,
    ),
    Metric(
        "distance_off_sink",
        "distance off sink",
        "tokens",
        0.0,
        None,
        "The same over the keys k ≥ 1 alone, whose attention is scaled up to sum to 1; over queries q ≥ 1 that give "
        "them more than .0001.",
        DatasetKind.NATURAL,
    ),
    _share(
        "largest_off_sink",
        "largest off sink",
        "Mean over rows of the largest A[q,k] with q ≥ 1 and k ≥ 1: near 1 where the head picks a single token "
        "somewhere in most texts.",
    ),
    Metric(
        "output_norm",
        "output norm",
        "",
        0.0,
        None,
        "Mean over one position in eight of the length of the head's output, W_O applied, divided by the length of the "
        "residual stream that its layer reads.",
        DatasetKind.NATURAL,
    ),
)


class Mass(enum.Enum):
    """Where a query's attention goes: every key is in the first class of its model's family
    (`analysis.families.mass_classes`) that holds it. The value is the word used on pages; shares are means over q ≥ 1
    and add up to 1."""

    SINK = "first token"  # k = 0
    SELF = "self"  # k = q
    PREVIOUS = "previous token"  # k = q − 1
    DUPLICATE = "duplicate token"  # an earlier position with the same token
    INDUCTION = "induction"  # just after an earlier position with the same token
    NEXT = "next token"  # k = q + 1, where attention is not causal
    LATER = "later tokens"  # k > q + 1, likewise
    OTHER = "other"


NEURON_METRICS: tuple[Metric, ...] = tuple(
    Metric(key, label, "", low, high, definition, DatasetKind.NATURAL, ComponentKind.NEURON, is_mean)
    for key, label, low, high, definition, is_mean in (
        ("mean", "mean", None, None, "Mean activation over positions ≥ 1.", True),
        (
            "standard_deviation",
            "standard deviation",
            0.0,
            None,
            "Standard deviation of the activation over one position in eight.",
            False,
        ),
        (
            "skewness",
            "skewness",
            None,
            None,
            "Third standardised moment of the activation, over one position in eight: positive where rare activations "
            "are high.",
            False,
        ),
        (
            "kurtosis",
            "kurtosis",
            1.0,
            None,
            "Fourth standardised moment of the activation, over one position in eight; 3 for a normal distribution, "
            "high where the neuron is seldom far from its mean.",
            False,
        ),
        ("maximum", "maximum", None, None, "Largest activation over positions ≥ 1.", False),
        ("minimum", "minimum", None, None, "Smallest activation over positions ≥ 1.", False),
        (
            "share_active",
            "share active",
            0.0,
            1.0,
            "Share of positions, one in eight, where the neuron is active: its activation, in a gated MLP the input of "
            "its gate, is above 0.",
            True,
        ),
    )
)

LAYER_METRICS: tuple[Metric, ...] = tuple(
    Metric(key, label, unit, low, high, definition, DatasetKind.NATURAL, ComponentKind.LAYER)
    for key, label, unit, low, high, definition in (
        (
            "residual_norm",
            "residual norm",
            "",
            0.0,
            None,
            "Mean length of the residual stream that leaves the layer, over positions ≥ 1.",
        ),
        (
            "residual_norm_first",
            "residual norm, position 0",
            "",
            0.0,
            None,
            "Mean length of the residual stream that leaves the layer, at the BOS token alone.",
        ),
        (
            "attention_written",
            "written by attention",
            "",
            0.0,
            None,
            "Mean over positions ≥ 1 of the length of what the attention adds, divided by the length of the residual "
            "stream that leaves the layer.",
        ),
        (
            "mlp_written",
            "written by MLP",
            "",
            0.0,
            None,
            "Mean over positions ≥ 1 of the length of what the MLP adds, divided by the length of the residual stream "
            "that leaves the layer.",
        ),
        (
            "lens_agreement",
            "logit lens agreement",
            "",
            0.0,
            1.0,
            "Share of the stated positions where the residual stream that leaves the layer, through the final norm and "
            "the unembedding, has the same first token as the model's output.",
        ),
        (
            "lens_divergence",
            "logit lens divergence",
            "nats",
            0.0,
            None,
            "Mean over the stated positions of KL(model's output ‖ logit lens of the layer): 0 at the last layer.",
        ),
    )
)

METRICS: tuple[Metric, ...] = HEAD_METRICS + NEURON_METRICS + LAYER_METRICS


def head_metrics(dataset_kind: DatasetKind) -> tuple[Metric, ...]:
    """The metrics of heads that are defined on datasets of this kind."""
    return tuple(metric for metric in HEAD_METRICS if metric.dataset_kind is dataset_kind)
