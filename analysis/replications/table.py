"""Every row of the replications: what it claims, what was published of it, and what explains a difference. No torch."""

from __future__ import annotations

import dataclasses

BRACKETS, INDUCTION, LANGUAGE_MODEL = "brackets", "induction", "smollm2"


@dataclasses.dataclass(frozen=True)
class Published:
    """A figure of others, beside which ours is printed."""

    printed: str  # the recovered share as it is in print; “n/r”: not reported, or not readable
    share: float  # the recovered share to compare with: that which follows from the loss, where there is one
    error: float  # of that share: its standard error, or the half of its last digit
    loss: float | None = None  # scrubbed, in nats
    loss_error: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """One experiment, kept in the file of its key."""

    key: str  # folder and name
    label: str
    claim: str
    published: Published | None = None  # None: it explains, refines or controls
    explained_by: str | None = None  # the row that shows what a difference from the published figure comes from
    because: str = ""  # what that row shows
    against: str | None = None  # a row on the same draws with which it is compared

    @property
    def group(self) -> str:
        return self.key.partition("/")[0]


# The published end points of brackets: the model's loss, and that of permuted labels.
_MODEL_LOSS, _PERMUTED_LOSS = 0.0003, 4.30


def _of_loss(printed: str, loss: float, error: float) -> Published:
    between = _PERMUTED_LOSS - _MODEL_LOSS
    return Published(printed, (_PERMUTED_LOSS - loss) / between, error / between, loss, error)


def _brackets(key: str, label: str, claim: str, published: Published | None = None, **more: str) -> Row:
    return _row(BRACKETS, key, label, claim, published, **more)


def _induction(key: str, label: str, claim: str, published: Published | None = None, **more: str) -> Row:
    return _row(INDUCTION, key, label, claim, published, **more)


def _row(group: str, key: str, label: str, claim: str, published: Published | None = None, **more: str) -> Row:
    full = {name: f"{group}/{of}" if name != "because" else of for name, of in more.items()}
    return Row(f"{group}/{key}", label, claim, published, **full)


_BOTH = (
    "Its heads carry both tests, not one each: agreeing on each test in which ablation finds them recovers the rest."
)
_EVERYWHERE = (
    "Its count heads look at the whole string, not at the first bracket, so that position alone says too little."
)
_COARSE = (
    "Once heads carry both tests and read each position as it is, the rest is recovered: claim 1, and a class of each "
    "position that is too coarse, cost it."
)

ROWS: tuple[Row, ...] = (
    _brackets(
        "1a",
        "1a",
        "The count heads carry the count test, the horizon heads the horizon test.",
        _of_loss("88 %", 0.52, 0.04),
        explained_by="both-tests",
        because=_BOTH,
    ),
    _brackets(
        "1b",
        "1b",
        "… the count test, and whether the string starts with “(” (claim 1).",
        _of_loss("93 %", 0.30, 0.04),
        explained_by="both-tests",
        because=_BOTH,
    ),
    _brackets(
        "2a",
        "2a",
        "The count heads read only the first bracket: the proportion head there, and the embedding.",
        _of_loss("n/r", 0.55, 0.04),
        explained_by="both-tests-all-positions",
        because=_EVERYWHERE,
    ),
    _brackets(
        "2b",
        "2b",
        "… the proportion head replaced by v·(2p − 1), p the open proportion (claims 1 and 2).",
        _of_loss("88 %", 0.53, 0.04),
        explained_by="both-tests-all-positions",
        because=_EVERYWHERE,
    ),
    _brackets(
        "3a",
        "3a",
        "The horizon heads read of each position only its class, by the real open proportion (claims 1 and 3).",
        _of_loss("n/r", 1.124, 0.1),
        explained_by="both-tests-horizon-reads-all",
        because=_COARSE,
    ),
    _brackets(
        "4",
        "4",
        "Claims 1, 2 and 3.",
        _of_loss("72 %", 1.7, 0.1),
        explained_by="both-tests-all-read",
        because=_COARSE,
    ),
    _brackets("both-tests", "heads carry both tests", "Each head agrees on the tests in which ablation finds it."),
    _brackets(
        "both-tests-all-positions",
        "… count heads read all positions",
        "… and the keys and values of the count heads are as they are, their queries and masks another's.",
        against="2a",
    ),
    _brackets(
        "both-tests-first-position",
        "… count heads read the first bracket",
        "… and of the count heads' keys and values only those of the first bracket are as they are.",
        against="both-tests-all-positions",
    ),
    _brackets(
        "both-tests-horizon-reads-all",
        "… horizon heads read all positions",
        "… and the keys and values of the horizon heads are as they are, with their own padding.",
        against="3a",
    ),
    _brackets(
        "both-tests-all-read",
        "… all of them read all positions",
        "… and the keys and values of all heads are as they are, with their own padding.",
        against="4",
    ),
    _induction(
        "v-embedding",
        "V sees only the embedding",
        "The values of the induction heads are those of the embedding alone (on a scale of its own: 0 % is values of "
        "another row).",
        Published("90 % (read as a share)", 0.9, 0.005),
        explained_by="v-extended",
        because="Here a token's identity reaches values by heads of layer 0 that look at their own position.",
    ),
    _induction(
        "q-embedding",
        "Q sees only the embedding",
        "The queries of the induction heads are those of the embedding alone.",
        Published("51 % (read as a share)", 0.51, 0.005),
        explained_by="q-extended",
        because="Here a token's identity reaches queries by heads of layer 0 that look at their own position.",
    ),
    _induction(
        "k-previous-head",
        "K sees only the previous-token head",
        "The keys of the induction heads are those of the previous-token head alone.",
        Published("83 % (read as a share)", 0.83, 0.005),
    ),
    _induction(
        "k-previous-position",
        "… and only its previous position",
        "… which reads values of the position before alone.",
        Published("82 % (read as a share)", 0.82, 0.005),
    ),
    _induction(
        "naive",
        "all three (naive hypothesis)",
        "Queries and values see the embedding alone, keys the token before.",
        Published("35 %", 0.37, 0.005),
    ),
    _induction(
        "refined",
        "refined",
        "… queries and values also see the heads of layer 0 that look at their own position, and there the embedding.",
        Published("86 % or 89 % (both are in print)", 0.875, 0.015),
        against="naive",
    ),
    _induction("refined-one-head", "… by one such head", "… by the strongest of them alone.", against="naive"),
    _induction(
        "v-extended",
        "V sees the extended embedding",
        "Values see the embedding and the heads of layer 0 that look at their own position.",
        against="v-embedding",
    ),
    _induction(
        "q-extended",
        "Q sees the extended embedding",
        "Queries see the embedding and the heads of layer 0 that look at their own position.",
        against="q-embedding",
    ),
    _induction("whole-model", "whole model scrubbed", "Nothing matters: the output is another row's."),
    _induction(
        "naive-on-text",
        "naive hypothesis on text",
        "The same on the State of the Union addresses, where these heads hardly matter: its end points are close.",
    ),
    *(
        _row(LANGUAGE_MODEL, f"{key}-{where}", label, claim)
        for where in ("random", "text")
        for key, label, claim in (
            ("k-previous", "K sees only previous-token heads", "Keys are those of the previous-token heads alone."),
            ("v-local", "V sees no head", "Values are those of the embedding and MLPs, no head added directly."),
            ("q-local", "Q sees no head", "Queries are those of the embedding and MLPs, no head added directly."),
            ("all-three", "all three", "Keys, values and queries as above."),
        )
    ),
)
