"""What a page must know of a model's family, beside its sizes. No torch.

Most families are decoders: a position attends to itself and to earlier ones, and the residual stream ends in logits of
the vocabulary. `bracket_classifier` is none.
"""

from __future__ import annotations

from collections.abc import Iterable

from analysis.metrics import Mass
from analysis.schema import DatasetKind

BRACKETS = "bracket_classifier"  # as config.model_type has it
RANDOM_TOKENS = "repeated-random"  # the dataset
_END = "[end]"

_EVERY_KEY = (
    "not measured: this model attends to later tokens as well as to earlier ones, and the metric is about earlier "
    "ones alone."
)
_NO_VOCABULARY = (
    "not measured: this model ends in a classifier that reads position 0, not in an unembedding, so nothing it writes "
    "promotes tokens."
)
_NO_MLP = "not measured: the layers of this model are attention alone, without an MLP."
_NO_RANDOM_TOKENS = "not measured: random tokens need more of them than the two brackets that this model reads."
# Metrics of heads whose definition asks for keys before the query.
_OF_EARLIER_KEYS = ("induction", "duplicate_token", "distance_mean", "distance_off_sink")


def is_causal(family: str) -> bool:
    """Whether a position attends to itself and earlier ones alone."""
    return family != BRACKETS


def predicts_tokens(family: str) -> bool:
    """Whether the residual stream ends in logits of the vocabulary, at every position."""
    return family != BRACKETS


def has_mlp(family: str) -> bool:
    return family != "attention_only"


def metric_datasets(family: str) -> dict[DatasetKind, str]:
    """The dataset whose survey gives metrics of a kind their values; a kind that is not there is absent."""
    if family == BRACKETS:
        return {DatasetKind.NATURAL: "bracket-strings"}
    return {DatasetKind.NATURAL: "sotu", DatasetKind.REPEATED: RANDOM_TOKENS}


def typed_text(family: str, tokens: Iterable[str]) -> str:
    """What a person would type to have these tokens of a row, BOS apart: the end token is put behind it as BOS is
    before."""
    return "".join(text for text in tokens if family != BRACKETS or text != _END)


def words_of_kind(family: str, kind: DatasetKind) -> str:
    """What metrics of a kind are measured on, in words."""
    return "strings of brackets" if family == BRACKETS and kind is DatasetKind.NATURAL else kind.value


def mass_classes(family: str) -> tuple[Mass, ...]:
    """The classes of keys that attention of a family is divided into, in the order in which keys are put into them."""
    if is_causal(family):
        return (Mass.SINK, Mass.SELF, Mass.PREVIOUS, Mass.DUPLICATE, Mass.INDUCTION, Mass.OTHER)
    return (Mass.SINK, Mass.SELF, Mass.PREVIOUS, Mass.NEXT, Mass.LATER, Mass.OTHER)


def absent_metrics(family: str) -> dict[str, str]:
    """Why no model of a family has some of the metrics, by key: one sentence each."""
    absent: dict[str, str] = {}
    if not is_causal(family):
        absent |= dict.fromkeys(_OF_EARLIER_KEYS, _EVERY_KEY)
        absent["induction_repeated"] = _NO_RANDOM_TOKENS
    if not predicts_tokens(family):
        absent |= dict.fromkeys(("ov_copying", "lens_agreement", "lens_divergence"), _NO_VOCABULARY)
    if not has_mlp(family):
        absent["mlp_written"] = _NO_MLP
    return absent


def absent_from_weights(family: str) -> dict[str, str]:
    """Why a reading of the weights of a family lacks some of its parts, by the name of the part."""
    absent: dict[str, str] = {}
    if not predicts_tokens(family):
        absent |= dict.fromkeys(("ov_copying", "ov_tokens", "promoted_tokens"), _NO_VOCABULARY)
    if not has_mlp(family):
        absent["neurons"] = _NO_MLP
    return absent
