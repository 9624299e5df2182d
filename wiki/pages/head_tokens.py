"""Which tokens a head looks from and at, what it writes for them, and which keys its queries prefer."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from django.utils.safestring import SafeString

from analysis.schema import Component
from wiki.experiments.results import StoreError

from .examples import depth_of
from .measurements import Measurements
from .numbers import short, signed
from .promoted import TokenTexts
from .shading import figures_of, table_rows, token_name

N_OV = 5  # promoted tokens that a page shows for a key token


@dataclasses.dataclass(frozen=True)
class TopToken:
    name: str
    mean: float

    @property
    def figure(self) -> str:
        return short(self.mean)


@dataclasses.dataclass(frozen=True)
class Ov:
    """What a head writes when it attends to one of its top key tokens."""

    key: str
    own_rank: int  # of the key token itself among what is promoted
    promoted: list[tuple[str, float]]

    @property
    def first(self) -> SafeString:
        return figures_of([(name, signed(logit)) for name, logit in self.promoted[:N_OV]], tag="i")

    @property
    def names(self) -> str:
        return ", ".join(name for name, _ in self.promoted[:3])


@dataclasses.dataclass(frozen=True)
class Qk:
    """The keys that one of a head's top query tokens scores highest, at each offset."""

    query: str
    keys: list[list[tuple[str, float]]]

    @property
    def cells(self) -> list[str]:
        """The query, then the keys at each offset."""
        return [self.query, *("  ".join(name for name, _ in keys) for keys in self.keys)]


@dataclasses.dataclass(frozen=True)
class HeadTokens:
    """Everything that is said of single tokens, with the reason for what is not."""

    queries: list[TopToken]
    keys: list[TopToken]
    ov: list[Ov]
    qk: list[Qk]
    offsets: list[str]
    absent: str = ""
    ov_absent: str = ""
    qk_absent: str = ""

    @property
    def query_list(self) -> SafeString:
        return figures_of((token.name, token.figure) for token in self.queries)

    @property
    def key_list(self) -> SafeString:
        return figures_of((token.name, token.figure) for token in self.keys)

    @property
    def qk_rows(self) -> SafeString:
        return table_rows(entry.cells for entry in self.qk)

    def to_json(self) -> dict[str, Any]:
        tops = {name: [[token.name, token.mean] for token in top] for name, top in self._tops}
        top_tokens: dict[str, Any] = {"absent": self.absent} if self.absent else tops
        ov = {"absent": self.ov_absent} if self.ov_absent else [dataclasses.asdict(entry) for entry in self.ov]
        qk = {"absent": self.qk_absent} if self.qk_absent else [dataclasses.asdict(entry) for entry in self.qk]
        return {"top_tokens": top_tokens, "ov": ov, "qk": {"offsets": self.offsets, "queries": qk}}

    @property
    def _tops(self) -> list[tuple[str, list[TopToken]]]:
        return [("query", self.queries), ("key", self.keys)]


def head_tokens_of(measurements: Measurements, component: Component, texts: TokenTexts) -> HeadTokens:
    """Top tokens from the survey in depth; what the weights say of them."""
    result, absent = depth_of(measurements)
    weights = measurements.weights
    if result is None:
        return HeadTokens([], [], [], [], [], absent, weights.absent or absent, weights.absent or absent)
    if texts.vocabulary is None:
        return HeadTokens([], [], [], [], [], texts.absent, texts.absent, texts.absent)
    try:
        tops = [
            (result.of_component(f"{name}_tokens", component), result.of_component(f"{name}_means", component))
            for name in ("query", "key")
        ]
    except StoreError as error:
        return HeadTokens([], [], [], [], [], str(error), str(error), str(error))
    read, ov_absent, qk_absent = _read_weights(measurements, component)
    offsets = weights.result.artifact.meta["offsets"] if weights.result and not qk_absent else []

    ids = [ids for ids, _ in tops] + [read[name] for name in sorted(read) if name.endswith("_tokens")]
    known = np.unique(np.concatenate([np.ravel(part) for part in ids]))
    known = known[known >= 0]
    names = {int(i): token_name(text) for i, text in zip(known, texts.vocabulary.texts(known), strict=True)}
    queries, keys = (
        [TopToken(names[int(i)], float(mean)) for i, mean in zip(ids, means, strict=True) if i >= 0]
        for ids, means in tops
    )
    ov = [] if ov_absent else _ov(read, names)
    qk = [] if qk_absent else _qk(read, names)
    return HeadTokens(queries, keys, ov, qk, list(map(_offset_name, offsets)), "", ov_absent, qk_absent)


def _read_weights(measurements: Measurements, component: Component) -> tuple[dict[str, np.ndarray], str, str]:
    """The arrays of the weights about tokens, and why those of OV and of QK are not there."""
    weights = measurements.weights
    if weights.result is None:
        return {}, weights.absent, weights.absent
    file, reasons = f"layer-{component.layer}", weights.result.artifact.meta["absent"]

    def read(*names: str) -> dict[str, np.ndarray]:
        assert weights.result
        return {name: weights.result.read(f"head.{name}", component.head, file=file) for name in names}

    arrays: dict[str, np.ndarray] = {}
    ov_absent, qk_absent = (reasons.get(name, "") for name in ("ov_tokens", "qk_tokens"))
    try:
        if not ov_absent:
            arrays |= read("key_tokens", "ov_tokens", "ov_logits", "ov_own_rank")
    except StoreError as error:
        return {}, str(error), str(error)
    try:
        if not qk_absent:
            arrays |= read("query_tokens", "qk_tokens", "qk_scores")
    except StoreError as error:
        return arrays, ov_absent, str(error)
    return arrays, ov_absent, qk_absent


def _ov(read: dict[str, np.ndarray], names: dict[int, str]) -> list[Ov]:
    ranks, promoted, logits = (read[name].tolist() for name in ("ov_own_rank", "ov_tokens", "ov_logits"))
    return [
        Ov(names[key], rank, [(names[i], logit) for i, logit in zip(ids, values, strict=True) if i >= 0])
        for key, rank, ids, values in zip(read["key_tokens"].tolist(), ranks, promoted, logits, strict=True)
        if key >= 0
    ]


def _qk(read: dict[str, np.ndarray], names: dict[int, str]) -> list[Qk]:
    tokens, scores = read["qk_tokens"].tolist(), read["qk_scores"].tolist()  # [offset, query, 5]
    return [
        Qk(
            names[query],
            [
                [(names[i], score) for i, score in zip(of_tokens[at], of_scores[at], strict=True) if i >= 0]
                for of_tokens, of_scores in zip(tokens, scores, strict=True)
            ],
        )
        for at, query in enumerate(read["query_tokens"].tolist())
        if query >= 0
    ]


def _offset_name(offset: int | None) -> str:
    if offset is None:
        return "whatever the distance"
    return f"{offset} position{'' if offset == 1 else 's'} before"
