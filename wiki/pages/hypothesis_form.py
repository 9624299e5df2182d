"""What the form of a hypothesis holds, as the data that its YAML says, and back.

Both ways keep whatever was typed: what is wrong of it the engine says.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import yaml

from analysis.scrubbing.hypothesis import EndPointKind, SamplerKind

# More nodes than this are edited as YAML: a form has at most a thousand fields.
MOST_NODES = 60
TEXTS = ("title", "model", "task", "split")
WHOLES = ("rows", "rows_seed", "n", "seed")
SETTINGS = (*TEXTS, *WHOLES, "criterion", "end_point", "end_point_parts", "mask", "rewrites")
OF_NODE = ("name", "parent", "parts", "sampler", "value", "shared", "other", "via", "positions", "offset")
# What stands in the form where the YAML says nothing; a form that says it says nothing.
USUAL = {"split": "search", "rows_seed": "0", "mask": "other", "end_point": EndPointKind.EVERYTHING_SCRUBBED.value}


@dataclasses.dataclass(frozen=True)
class Fields:
    """The fields of the form, as texts."""

    settings: dict[str, str]
    nodes: list[dict[str, str]]

    @classmethod
    def of_post(cls, sent: Mapping[str, str]) -> Fields:
        settings = {name: sent.get(name, "").strip() for name in SETTINGS}
        count = sent.get("n_nodes", "0")
        n_nodes = min(int(count), MOST_NODES) if count.isascii() and count.isdigit() else 0
        nodes = [{name: sent.get(f"{name}-{at}", "").strip() for name in OF_NODE} for at in range(n_nodes)]
        return cls(settings, nodes)

    @classmethod
    def of_data(cls, data: Any) -> Fields | None:
        """The form that shows this data; None where it has no such shape."""
        nodes = data.get("nodes") if isinstance(data, dict) else None
        if not isinstance(nodes, list) or len(nodes) > MOST_NODES or not all(isinstance(node, dict) for node in nodes):
            return None
        settings = {name: _as_text(data.get(name, "")) for name in (*TEXTS, *WHOLES, "criterion", "mask")}
        end_point = data.get("end_point", "")
        scrubbed = EndPointKind.INPUTS_SCRUBBED.value
        if isinstance(end_point, dict) and set(end_point) == {scrubbed}:
            settings |= {"end_point": scrubbed, "end_point_parts": _as_text(end_point[scrubbed])}
        else:
            settings |= {"end_point": _as_text(end_point), "end_point_parts": ""}
        settings["rewrites"] = _dumped(data["rewrites"]) if data.get("rewrites") else ""
        settings = {name: value or USUAL.get(name, "") for name, value in settings.items()}
        return cls(settings, [_node_fields(node) for node in nodes])

    def to_data(self, *, model_hash: str) -> dict[str, Any]:
        """What the form says, as the data of a YAML file."""
        asked = {name: value for name, value in self.settings.items() if value and value != USUAL.get(name)}
        data: dict[str, Any] = {name: asked[name] for name in TEXTS if name in asked}
        if model_hash:
            data["model_hash"] = model_hash
        data |= {name: _as_whole(asked[name]) for name in WHOLES if name in asked}
        if "criterion" in asked:
            data["criterion"] = _as_number(asked["criterion"])
        end_point, parts = self.settings["end_point"], self.settings["end_point_parts"]
        if end_point == EndPointKind.INPUTS_SCRUBBED.value or parts:
            data["end_point"] = {EndPointKind.INPUTS_SCRUBBED.value: _as_list(parts)}
        elif "end_point" in asked:
            data["end_point"] = end_point
        if "mask" in asked:
            data["mask"] = asked["mask"]
        if "rewrites" in asked:
            data["rewrites"] = _as_data(asked["rewrites"])
        data["nodes"] = [_node_data(node) for node in self.nodes]
        return data


def as_yaml(data: Any) -> str:
    """Data as people write it: short lists and mappings in one line."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)


class _Dumper(yaml.SafeDumper):
    """Equal things are written out, not referred to."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _node_fields(node: Mapping[str, Any]) -> dict[str, str]:
    fields = {name: _as_text(node.get(name, "")) for name in OF_NODE if name not in ("sampler", "value", "shared")}
    sampler = node.get("sampler", "")
    shared = value = ""
    if isinstance(sampler, dict):
        shared = _as_text(sampler.get("shared", ""))
        kinds = [kind for kind in ("agree", "fixed") if kind in sampler]
        value = _as_text(sampler[kinds[0]], flow=True) if kinds else ""
        sampler = kinds[0] if kinds else SamplerKind.UNCONDITIONAL.value
    return fields | {"sampler": _as_text(sampler), "value": value, "shared": shared}


def _node_data(fields: Mapping[str, str]) -> dict[str, Any]:
    data: dict[str, Any] = {"name": fields["name"]}
    if fields["parent"]:
        data["parent"] = fields["parent"]
    data["parts"] = _as_list(fields["parts"])
    if fields["sampler"] and (fields["parent"] or fields["value"] or fields["shared"]):
        data["sampler"] = _sampler_data(fields)
    if fields["other"] and fields["other"] != SamplerKind.UNCONDITIONAL.value:
        data["other"] = _as_data(fields["other"])
    if fields["via"]:
        data["via"] = _as_list(fields["via"])
    if fields["positions"]:
        numbers = [_as_whole(each) for each in _as_list(fields["positions"])]
        data["positions"] = numbers if all(isinstance(each, int) for each in numbers) else fields["positions"]
    if fields["offset"]:
        data["offset"] = _as_whole(fields["offset"])
    return data


def _sampler_data(fields: Mapping[str, str]) -> Any:
    kind, shared = fields["sampler"], {"shared": fields["shared"]} if fields["shared"] else {}
    if kind == SamplerKind.AGREE.value:
        return {"agree": _as_data(fields["value"]), **shared}
    if kind == SamplerKind.FIXED.value:
        return {"fixed": _as_whole(fields["value"]), **shared}
    if kind == SamplerKind.UNCONDITIONAL.value and shared:
        return shared
    return kind


def _as_text(value: Any, *, flow: bool = False) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not flow and all(isinstance(each, str | int) for each in value):
        return ", ".join(map(str, value))
    return "" if value is None else _dumped(value)


def _dumped(value: Any) -> str:
    """One line of YAML."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _as_data(text: str) -> Any:
    """What a line of YAML says; the text itself where it says nothing."""
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def _as_list(text: str) -> list[str]:
    return [part for part in re.split(r"[,\s]+", text) if part]


def _as_whole(text: str) -> Any:
    return int(text) if re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII) else text


def _as_number(text: str) -> Any:
    """A share, `0.8` or `80 %`."""
    match = re.fullmatch(r"(-?\d{1,9}(?:\.\d{1,9})?)\s*(%?)", text, re.ASCII)
    if match is None:
        return text
    return round(float(match[1]) / 100, 12) if match[2] else float(match[1])
