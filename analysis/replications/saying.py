"""Experiments in few words, and the text of the file that each is kept in. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

Data = dict[str, Any]
EXACT = "exact"
UNCONDITIONAL = "unconditional"


def root(**more: Any) -> Data:
    return {"name": "out", "parts": ["out"], **more}


def node(name: str, parent: str, parts: Sequence[str], sampler: Any, **more: Any) -> Data:
    return {"name": name, "parent": parent, "parts": list(parts), "sampler": sampler, **more}


def agree(feature: Any) -> Data:
    return {"agree": feature}


def slots(head: str, which: str, *, group: int = 1) -> list[str]:
    """The inputs of a head: `q` its queries, `k` and `v` those of its KV head, which `group` heads share."""
    layer, _, number = head[1:].partition("H")
    return [f"{head}.q" if slot == "q" else f"L{layer}KV{int(number) // group}.{slot}" for slot in which]


class _Plain(yaml.SafeDumper):
    """Writes what stands in two places twice: people read no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_file(experiment: Data, *, comment: str) -> str:
    """An experiment as the text of its file."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    layout: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 116, "default_flow_style": None}
    return lines + yaml.dump(experiment, Dumper=_Plain, **layout)
