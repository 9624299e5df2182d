"""Hypotheses that must be caught: each looks right to who evaluates less strictly, and is wrong. No torch."""

from __future__ import annotations

import dataclasses
from typing import Any

GALLERY = "gallery"


@dataclasses.dataclass(frozen=True)
class Trap:
    """A hypothesis that must be caught, and by what."""

    key: str
    kind: str
    claim: str
    looks_right: str
    caught: str  # what catches it, for people
    warning: str = ""  # how the warning that catches it begins
    against: str | None = None  # the row, on the same draws, that recovers more


TRAPS: tuple[Trap, ...] = (
    Trap(
        f"{GALLERY}/cancelling",
        "cancelling",
        "The queries and the keys of the induction heads say only where they are, not which token is there: each is "
        "read from any row.",
        "Patterns are the same in all rows, as position decides where the repeated token is: the token in the queries "
        "and that in the keys cancel.",
        "Each is drawn for itself, so what cancelled no longer does: it recovers far less than the same with one draw "
        "for both.",
        against=f"{GALLERY}/cancelling-one-draw",
    ),
    Trap(
        f"{GALLERY}/swapped",
        "swapped",
        "The keys of the induction heads are those of the embedding, the values those of the previous-token head.",
        "It names the right parts and the right heads, the one in the other's place.",
        "It recovers far less than the two the right way round.",
        against=f"{GALLERY}/swapped-back",
    ),
    Trap(
        f"{GALLERY}/correlated",
        "correlated inputs",
        "Only the first half of the row is read.",
        "The second half repeats the first, so nothing is in it that the first has not: who predicts the output from "
        "the first half predicts it as well.",
        "What is not mapped is read from another row, in which the halves no longer agree: it recovers far less than "
        "the whole row.",
        against=f"{GALLERY}/correlated-whole-row",
    ),
    Trap(
        f"{GALLERY}/permissive",
        "too permissive",
        "Head 1.7 adds nothing to the output, everything else is as it is.",
        "It recovers all of the loss.",
        "Nearly all paths still read the reference, which is said.",
        warning="The hypothesis is permissive",
    ),
    Trap(
        f"{GALLERY}/wrong-head",
        "right for the wrong head",
        "Heads 1.0 and 2.0 carry the count test, head 2.1 the horizon test: claim 1a in the heads in which it was "
        "published, for a model in which others play these parts.",
        "It is the published hypothesis, word for word, and recovers more than a third.",
        "The same tree on other heads, chosen at random, recovers as much.",
        warning="The same tree recovers as much or more on",
    ),
    Trap(
        f"{GALLERY}/above-100",
        "above 100 %",
        "On repeated random tokens nothing that the embedding adds directly to the output matters.",
        "It recovers more than the model has.",
        "The share is not clamped, and a sentence says that what is left out makes the model worse.",
        warning="More than 100 % is recovered",
    ),
)
# What traps are compared with.
COUNTERPARTS = {
    f"{GALLERY}/cancelling-one-draw": "queries and keys of one other row",
    f"{GALLERY}/swapped-back": "keys of the previous-token head, values of the extended embedding",
    f"{GALLERY}/correlated-whole-row": "both halves are read",
}


def is_caught(trap: Trap, rows: dict[str, Any]) -> bool:
    """Whether what must catch a trap did, in recorded rows."""
    recorded = rows[trap.key]
    if trap.warning:
        return any(warning.startswith(trap.warning) for warning in recorded["result"]["warnings"])
    # “this less that”, by an interval that lies below 0
    return recorded["compared"]["high"] < 0
