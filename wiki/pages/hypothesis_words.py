"""What a hypothesis says, in words: of the whole in a sentence, of each node how its data are drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.scrubbing.fields import HypothesisError
from analysis.scrubbing.hypothesis import Sampler, SamplerKind

# A sentence says so many nodes, and of each so many parts.
MOST_SAID, MOST_PARTS = 4, 4


def claim_of(nodes: Sequence[Mapping[str, Any]]) -> str:
    """What a legal hypothesis claims: `L2H1 depends on end_token alone; nothing else matters to the output.`"""
    by_name = {node["name"]: node for node in nodes}
    root = next(node for node in nodes if node.get("parent") is None)
    below = [node for node in nodes if node.get("parent") is not None]
    said = [_clause(node, by_name[node["parent"]], is_below_root=node["parent"] == root["name"]) for node in below]
    if len(said) > MOST_SAID + 1:
        said = [*said[:MOST_SAID], f"and {len(said) - MOST_SAID} nodes more"]
    other = root.get("other", SamplerKind.UNCONDITIONAL.value)
    rest = "nothing else matters to the output" if below else "no part of the model matters to the output"
    if other != SamplerKind.UNCONDITIONAL.value:
        rest = f"of all else the output reads {_sampled(other)}"
    sentence = "; ".join([*said, rest])
    return f"{sentence[:1].upper()}{sentence[1:]}."


def _clause(node: Mapping[str, Any], parent: Mapping[str, Any], *, is_below_root: bool) -> str:
    reads, them = "read" if _are_several(parent) else "reads", "them" if _are_several(node) else "it"
    reader = "" if is_below_root else f", as {_parts(parent)} {reads} {them},"
    at = node.get("positions")
    at = "" if at is None else f" at {at if isinstance(at, str) else 'positions ' + _short(at)}"
    return f"{_parts(node)}{at}{reader} {_depends(node)}"


def _depends(node: Mapping[str, Any]) -> str:
    sampler, several = Sampler.from_json(node["sampler"], where=""), _are_several(node)
    return {
        SamplerKind.AGREE: f"depend{'' if several else 's'} on {_feature(sampler.feature)} alone",
        SamplerKind.UNCONDITIONAL: f"make{'' if several else 's'} no difference",
        SamplerKind.EXACT: "count as they are" if several else "counts as it is",
        SamplerKind.FIXED: f"may be that of row {sampler.row}",
    }[sampler.kind]


def _are_several(node: Mapping[str, Any]) -> bool:
    return len(node.get("parts", [])) > 1


def _parts(node: Mapping[str, Any]) -> str:
    parts = [str(part) for part in node.get("parts", [])]
    if len(parts) > MOST_PARTS + 1:
        parts = [*parts[:MOST_PARTS], f"{len(parts) - MOST_PARTS} parts more"]
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts) or "the input"


def how_drawn(node: Mapping[str, Any]) -> str:
    """How a node's data are drawn, in words."""
    words = [_sampled(node["sampler"])] if "sampler" in node else []
    if node.get("parent") is None:
        words = ["the reference: what the model is asked about"]
    if "positions" in node:
        at = node["positions"]
        words.append(f"at {at if isinstance(at, str) else 'positions ' + _short(at)}")
    if "offset" in node:
        words.append(f"only from the position {_short(node['offset'])} further on")
    if node.get("via"):
        via = node["via"]
        words.append(f"by way of {', '.join(map(str, via)) if isinstance(via, list) else _short(via)}")
    if "other" in node:
        words.append(f"all else that it reads: {_sampled(node['other'])}")
    return "; ".join(words)


def _sampled(data: Any) -> str:
    try:
        sampler = Sampler.from_json(data, where="")
    except HypothesisError:
        return _short(data)
    said = {
        SamplerKind.AGREE: f"a row that agrees on {_feature(sampler.feature)}",
        SamplerKind.UNCONDITIONAL: "any row",
        SamplerKind.EXACT: "the same row as above",
        SamplerKind.FIXED: f"always row {sampler.row}",
    }[sampler.kind]
    return f"{said}, drawn together as {sampler.shared}" if sampler.shared else said


def _feature(expression: Any) -> str:
    return expression if isinstance(expression, str) else _short(expression)


def _short(data: Any) -> str:
    text = json.dumps(data, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:200]}…"
