"""The strongest induction heads of SmolLM2, asked on repeated random tokens and on natural text what they read.

The heads are those that look most at what came after the token before, the previous-token heads those of layers
below. What a claim leaves out of queries, keys and values is read from another row; all that is not read by these
heads is as it is, and what they change goes on through all later layers.
"""

from __future__ import annotations

from typing import Any

from analysis.schema import Sizes
from analysis.scrubbing.hypothesis import EndPointKind

from .induction_heads import LookingHeads, layer_of
from .saying import EXACT, Data, node, root, slots

MODEL = "smollm2-135m-instruct-q4"
TASKS = {"random": "induction-random", "text": "induction-text"}
STRONGEST = 3
# As many rows as samples. On text these heads change the loss by a hundredth of what they do on random tokens.
SAMPLES = {"random": 64, "text": 256}
TOP = "induction"


def language_model_experiments(heads: LookingHeads, sizes: Sizes, *, model_hash: str) -> dict[str, Data]:
    """Each experiment by its key: a claim about keys, values or queries, or all three, on each of the tasks."""
    found = heads.role("induction")[:STRONGEST]
    lowest = min(layer_of(head) for head in found)
    previous = heads.role("previous_token", below=lowest)
    group = sizes.n_heads // sizes.n_kv_heads
    read = {
        slot: list(dict.fromkeys(part for head in found for part in slots(head, slot, group=group))) for slot in "qkv"
    }
    local = ["embed", *(f"L{layer}.mlp" for layer in range(lowest))]
    whole = {slot: node(slot, TOP, read[slot], EXACT) for slot in "qkv"}
    k = node("k", TOP, previous, EXACT, via=read["k"])
    v, q = (node(slot, TOP, local, EXACT, via=read[slot]) for slot in "vq")
    asked: dict[str, list[Data]] = {
        "k-previous": [k, whole["v"], whole["q"]],
        "v-local": [whole["k"], v, whole["q"]],
        "q-local": [whole["k"], whole["v"], q],
        "all-three": [k, v, q],
    }
    return {
        f"{key}-{where}": _experiment(found, nodes, task, n=SAMPLES[where], model_hash=model_hash)
        for where, task in TASKS.items()
        for key, nodes in asked.items()
    }


def _experiment(found: tuple[str, ...], nodes: list[Data], task: str, *, n: int, model_hash: str) -> dict[str, Any]:
    return {
        "model": MODEL,
        "model_hash": model_hash,
        "task": task,
        "split": "confirm",
        "rows": n,
        "n": n,
        "end_point": {EndPointKind.INPUTS_SCRUBBED.value: list(found)},
        "nodes": [root(other=EXACT), node(TOP, "out", found, EXACT, via=["*"]), *nodes],
    }
