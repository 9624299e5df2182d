"""Small subjects: random models on rows of real tasks."""

from __future__ import annotations

import functools
from typing import Any

import torch
from transformers import PreTrainedModel

from analysis.datasets.task import Split
from analysis.datasets.tasks.brackets import make_rows
from analysis.datasets.tasks.table import TASKS
from analysis.organisms.bracket_classifier import BracketClassifierConfig, BracketForSequenceClassification
from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.hypothesis import Rewrite
from analysis.scrubbing.subject import Subject
from tests.tiny import unsettle

ROWS = 300
ABOUT = {"model": "brackets-tiny", "model_hash": "a" * 64, "task": "brackets", "rows": ROWS, "n": 60}


@functools.cache
def bracket_model() -> PreTrainedModel:
    """The architecture of the bracket classifier, small and random."""
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "head_dim": 8}
    config = BracketClassifierConfig(**sizes, num_hidden_layers=3, initializer_range=0.4)
    return unsettle(BracketForSequenceClassification(config).eval()).double()


def a_subject(*rewrites: Rewrite) -> Subject:
    """The tiny bracket classifier on some strings."""
    task = TASKS["brackets"]
    return Subject(
        bracket_model(),
        make_rows(Split.SEARCH, n=ROWS, seed=0),
        metric=task.metric,
        features=task.features,
        slug=str(ABOUT["model"]),
        model_hash=str(ABOUT["model_hash"]),
        dataset="brackets/search",
        rewrites=rewrites,
    )


def an_experiment(*nodes: dict[str, Any], **more: Any) -> Experiment:
    return Experiment.from_json({**ABOUT, "nodes": list(nodes), **more})


def decode(tokens: list[int]) -> str:
    return "".join("[]$()"[token] for token in tokens)
