"""The published hypotheses about induction heads, said of the heads that were found to look where they should.

What is asked is only what the induction heads read: all else is as it is. What a claim leaves out of their queries,
keys and values is read from another row. The organism does induction on repeated random tokens and hardly on text, so
its rows are of the former; whether text agrees is a row of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis.scrubbing.hypothesis import EndPointKind

from .induction_heads import LookingHeads
from .saying import EXACT, Data, node, root, slots

SAMPLES, ROWS = 512, 512
TEXT_ROWS = 512
TOP = "induction"


def induction_experiments(heads: LookingHeads, *, model_hash: str) -> dict[str, Data]:
    """Each experiment by its key: the published rows, the refined hypotheses, and those that explain a difference."""
    found = heads.role("induction")
    previous, own = heads.role("previous_token", below=1)[0], heads.role("itself", below=1)
    read = {slot: [part for head in found for part in slots(head, slot)] for slot in "qkv"}
    all_of = {slot: node(slot, TOP, read[slot], EXACT) for slot in "qkv"}
    embedded = {slot: node(slot, TOP, ["embed"], EXACT, via=read[slot]) for slot in "qkv"}
    before = node("k", TOP, [previous], EXACT, via=read["k"])
    its_place = node("k, one before", "k", ["embed"], EXACT, via=slots(previous, "v"), offset=-1)
    naive = [embedded["v"], embedded["q"], before, its_place]
    kept = [all_of["q"], all_of["k"]]
    v_extended = [embedded["v"], *_extended("v", own, via=read["v"])]
    q_extended = [embedded["q"], *_extended("q", own, via=read["q"])]
    one_more = [*_extended("v", own[:1], via=read["v"]), *_extended("q", own[:1], via=read["q"])]
    scrubbed = {EndPointKind.INPUTS_SCRUBBED.value: list(found)}
    v_alone = {EndPointKind.INPUTS_SCRUBBED.value: read["v"]}
    asked: dict[str, tuple[list[Data], Any]] = {
        "v-embedding": ([embedded["v"], *kept], v_alone),
        "q-embedding": ([all_of["v"], embedded["q"], all_of["k"]], scrubbed),
        "k-previous-head": ([all_of["v"], all_of["q"], before], scrubbed),
        "k-previous-position": ([all_of["v"], all_of["q"], before, its_place], scrubbed),
        "naive": (naive, scrubbed),
        "refined-one-head": ([*naive, *one_more], scrubbed),
        "refined": ([*v_extended, *q_extended, before, its_place], scrubbed),
        "v-extended": ([*v_extended, *kept], v_alone),
        "q-extended": ([all_of["v"], *q_extended, all_of["k"]], scrubbed),
    }
    random = {key: _experiment(found, nodes, end, model_hash=model_hash) for key, (nodes, end) in asked.items()}
    whole = {**random["naive"], "nodes": [root()]}
    text = {**random["naive"], "task": "induction-text", "rows": TEXT_ROWS}
    return {**random, "whole-model": whole, "naive-on-text": text}


def _experiment(found: Sequence[str], nodes: list[Data], end_point: Any, *, model_hash: str) -> Data:
    return {
        "model": "attn-only-2l",
        "model_hash": model_hash,
        "task": "induction-random",
        "split": "confirm",
        "rows": ROWS,
        "n": SAMPLES,
        "end_point": end_point,
        # nothing but what the induction heads read is from another row
        "nodes": [root(other=EXACT), node(TOP, "out", found, EXACT), *nodes],
    }


def _extended(slot: str, heads: Sequence[str], *, via: list[str]) -> list[Data]:
    """An extended embedding: heads that look at their own position, and there at the embedding alone."""
    nodes: list[Data] = []
    for head in heads:
        name = f"{slot}, {head}"
        own_place = node(f"{name}, own place", name, ["embed"], EXACT, via=slots(head, "kv"), offset=0)
        own_query = node(f"{name}, query", name, ["embed"], EXACT, via=slots(head, "q"))
        nodes += [node(name, TOP, [head], EXACT, via=via), own_place, own_query]
    return nodes
