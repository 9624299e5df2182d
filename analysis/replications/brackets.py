"""The published hypotheses about the classifier of brackets, said of the heads that were found to play their parts.

Each head is a node of its own. What a claim leaves out is read from the node's other datum, its padding mask included.
Of row 3 only the variant with the real open proportion is run: the adjusted one is not defined well enough.
"""

from __future__ import annotations

from typing import Any

from analysis.scrubbing.hypothesis import EndPointKind, MaskOf

from .bracket_heads import LEAST_SHARE, BracketHeads
from .saying import EXACT, Data, agree, node, root, slots

SAMPLES, ROWS, LAYERS = 4_000, 20_000, 3
COUNT, HORIZON, BOTH = "count_test", "horizon_test", {"all": ["count_test", "horizon_test"]}
COUNT_AND_START = {"all": ["count_test", "starts_with_open"]}


def bracket_experiments(heads: BracketHeads, *, model_hash: str) -> dict[str, Data]:
    """Each experiment by its key: the published rows, and those that explain a difference."""
    one_a = [*_tests(heads.count, COUNT), *_tests(heads.horizon, HORIZON)]
    one_b = [*_tests(heads.count, COUNT_AND_START), *_tests(heads.horizon, HORIZON)]
    two = [_first(head, heads.proportion) for head in heads.count]
    estimated = [_first(head, f"{heads.proportion}.estimate") for head in heads.count]
    three = [_by_position(head) for head in heads.horizon]
    slope = {"kind": "estimate", "head": heads.proportion, "feature": "open_proportion", "form": "slope"}
    both = [_test(head.name, feature) for head in heads.heads if (feature := _tests_of(head.count, head.horizon))]
    nodes: dict[str, list[Data]] = {
        "1a": one_a,
        "1b": one_b,
        "2a": [*one_b, *two],
        "2b": [*one_b, *estimated],
        "3a": [*one_b, *three],
        "4": [*one_b, *estimated, *three],
        "both-tests": both,
        "both-tests-all-positions": [*both, *_all_read(heads.count)],
        "both-tests-first-position": [*both, *_all_read(heads.count, positions="first")],
        "both-tests-horizon-reads-all": [*both, *_all_read(heads.horizon)],
        "both-tests-all-read": [*both, *_all_read(heads.count), *_all_read(heads.horizon)],
    }
    # where all is to be read as it is, so is what is padding
    own_mask = {"both-tests-horizon-reads-all", "both-tests-all-read"}
    return {
        key: {
            "model": "paren-balance",
            "model_hash": model_hash,
            "task": "brackets",
            "split": "confirm",
            "rows": ROWS,
            "n": SAMPLES,
            "end_point": EndPointKind.LABELS_PERMUTED.value,
            **({"mask": MaskOf.DATUM.value} if key in own_mask else {}),
            **({"rewrites": [slope]} if ".estimate" in str(of) else {}),
            "nodes": [root(), *of],
        }
        for key, of in nodes.items()
    }


def _tests_of(count: float, horizon: float) -> Any:
    """What a head that plays a part in either test, or in both, must agree on."""
    found = [test for test, share in ((COUNT, count), (HORIZON, horizon)) if share >= LEAST_SHARE]
    return BOTH if len(found) == 2 else found[0] if found else None


def _tests(heads: tuple[str, ...], feature: Any) -> list[Data]:
    return [_test(head, feature) for head in heads]


def _test(head: str, feature: Any) -> Data:
    """What position 0 reads through a head, by the MLPs from its layer on."""
    ways = [f"L{layer}.mlp" for layer in range(int(head[1]), LAYERS)]
    return node(head, "out", [head], agree(feature), via=ways)


def _first(head: str, proportion: str) -> Data:
    """What a head reads at the first bracket: the open proportion of the whole string, and the embedding."""
    ways = [*slots(head, "kv"), *(f"L{layer}.mlp" for layer in range(int(head[1])))]
    parts = [proportion, "embed"]
    return node(f"{head}, first", head, parts, agree("overall_proportion"), via=ways, positions="first")


def _by_position(head: str) -> Data:
    return node(f"{head}, by position", head, slots(head, "kv"), agree("horizon_class"))


def _all_read(heads: tuple[str, ...], **where: Any) -> list[Data]:
    """The keys and values of heads as they are, at all positions or some; their queries, at position 0, are not."""
    return [node(f"{head}, read", head, slots(head, "kv"), EXACT, **where) for head in heads]
