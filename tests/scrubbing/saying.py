"""Hypotheses in few words, and the worlds that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from analysis.scrubbing.hypothesis import Hypothesis
from analysis.scrubbing.legality import World
from analysis.scrubbing.parts import Parts

ABOUT = {"model": "toy", "model_hash": "a" * 64, "dataset": "grid", "dataset_hash": "b" * 64}


def node(name: str, parent: str | None = None, *parts: str, **more: Any) -> dict[str, Any]:
    """A node as JSON; a word as a sampler is what it agrees on, unless it is `exact` or `unconditional`."""
    data = {"name": name, "parts": list(parts) or [name], **more}
    if parent is not None:
        sampler = more.get("sampler", "unconditional")
        is_feature = isinstance(sampler, str) and sampler not in ("exact", "unconditional")
        data |= {"parent": parent, "sampler": {"agree": sampler} if is_feature else sampler}
    return data


def hypothesis(*nodes: dict[str, Any], **more: Any) -> Hypothesis:
    return Hypothesis.from_json({**ABOUT, "nodes": list(nodes), **more})


def world(parts: Parts, values: Mapping[str, np.ndarray], **more: Any) -> World:
    """A world whose features have these values."""
    n_rows = len(next(iter(values.values())))
    features = {name: of.ndim == 2 for name, of in values.items()}
    return World(**{**ABOUT, "parts": parts, "rows": n_rows, "features": features, **more})
