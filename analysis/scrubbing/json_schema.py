"""The JSON Schemas of a hypothesis and of an experiment, as published beside the documentation. No torch."""

from __future__ import annotations

from typing import Any

from analysis.datasets.tasks.table import MOST_ROWS, SPLITS, TASKS
from analysis.scrubbing.hypothesis import (
    MAX_CRITERION,
    MAX_NODES,
    MAX_SAMPLES,
    EndPointKind,
    EstimateForm,
    MaskOf,
    RewriteKind,
)

_TEXT = {"type": "string", "minLength": 1, "maxLength": 200}
_TEXTS = {"type": "array", "items": _TEXT}


def json_schema() -> dict[str, Any]:
    """What `hypothesis.Hypothesis.from_json` reads, as JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A causal-scrubbing hypothesis",
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "model_hash", "dataset", "dataset_hash", "nodes"],
        "properties": {
            **dict.fromkeys(("model", "model_hash", "dataset", "dataset_hash"), _TEXT),
            "n": _whole(2, MAX_SAMPLES, "samples"),
            "seed": _whole(0, 2**63 - 1, "of all draws"),
            "end_point": _END_POINT,
            "mask": {"enum": [choice.value for choice in MaskOf]},
            "rewrites": {"type": "array", "items": _REWRITE},
            "criterion": {
                "type": "number",
                "exclusiveMinimum": -MAX_CRITERION,
                "exclusiveMaximum": MAX_CRITERION,
                "description": "the recovered share said beforehand to be enough",
            },
            "nodes": {"type": "array", "minItems": 1, "maxItems": MAX_NODES, "items": _NODE},
        },
        "$defs": {"feature": _FEATURE, "sampler": _SAMPLER},
    }


def experiment_schema() -> dict[str, Any]:
    """What `experiment.Experiment.from_json` reads: a hypothesis whose dataset is rows of a task."""
    schema = json_schema()
    about = {name: schema["properties"][name] for name in schema["properties"] if name != "dataset"}
    own = {
        "task": {"enum": list(TASKS)},
        "split": {"enum": list(SPLITS)},
        "rows": _whole(2, MOST_ROWS, "of the dataset from which data are drawn"),
        "rows_seed": _whole(0, 2**63 - 1, "of the generator that makes the rows"),
        "title": {"type": "string", "maxLength": 200},
    }
    return {
        **schema,
        "title": "A causal-scrubbing experiment",
        "required": ["model", "model_hash", "task", "nodes"],
        "properties": {**about, **own},
    }


def _whole(least: int, most: int, description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": most, "description": description}


def _only(name: str, content: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    """An object with one field, and perhaps others."""
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name],
        "properties": {name: content, **more},
    }


_A_FEATURE = {"$ref": "#/$defs/feature"}
_TWO = {"minItems": 2, "maxItems": 2}
_FEATURE: dict[str, Any] = {
    "description": "what rows, or positions of rows, agree on",
    "oneOf": [
        {"type": "string", "minLength": 1},
        _only("all", {"type": "array", "minItems": 1, "items": _A_FEATURE}),
        _only("equal", {"type": "array", **_TWO, "items": _A_FEATURE}),
        _only("offset", {"type": "array", **_TWO, "prefixItems": [_A_FEATURE, {"type": "integer"}]}),
        _only(
            "bin",
            {
                "type": "array",
                **_TWO,
                "prefixItems": [_A_FEATURE, {"type": "array", "minItems": 1, "items": {"type": "number"}}],
            },
        ),
    ],
}
_SAMPLER: dict[str, Any] = {
    "description": "how a datum is drawn",
    "oneOf": [
        {"enum": ["unconditional", "exact"]},
        _only("agree", _A_FEATURE, shared={"type": "string", "minLength": 1}),
        _only("fixed", {"type": "integer", "minimum": 0}),
        _only("shared", {"type": "string", "minLength": 1}),
    ],
}
_NODE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {**_TEXT, "pattern": "^[^/]*$"},
        "parent": _TEXT,
        "parts": {**_TEXTS, "description": "what the node is mapped to, sampled together"},
        "sampler": {"$ref": "#/$defs/sampler"},
        "other": {"$ref": "#/$defs/sampler"},
        "via": {"oneOf": [_TEXTS, {"const": "*"}], "description": "the parts that the way to the parent may pass"},
        "positions": {
            "oneOf": [_TEXT, {"type": "array", "items": _whole(0, 1_000_000, "a position")}],
            "description": "at which the parts are read: a role of the task, or numbers",
        },
        "offset": _whole(-1_000_000, 1_000_000, "keys and values only from the position so many further on"),
    },
    # a root has no sampler, every other node has one
    "dependentRequired": {"parent": ["sampler"], "sampler": ["parent"]},
}
_END_POINT: dict[str, Any] = {
    "description": "what counts as 0 %",
    "oneOf": [
        {"enum": [EndPointKind.LABELS_PERMUTED.value, EndPointKind.EVERYTHING_SCRUBBED.value]},
        _only(EndPointKind.INPUTS_SCRUBBED.value, _TEXTS),
    ],
}
_REWRITE: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "head"],
    "properties": {
        "kind": {"enum": [kind.value for kind in RewriteKind]},
        "head": _TEXT,
        "feature": _A_FEATURE,
        "form": {"enum": [form.value for form in EstimateForm], "description": "which function of the feature"},
    },
    "if": {"properties": {"kind": {"const": RewriteKind.ESTIMATE.value}}},
    "then": {"required": ["feature"]},
    "else": {"properties": {"feature": False, "form": False}},
}
