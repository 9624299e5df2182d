"""An experiment: a hypothesis, the rows of a task on which it is scrubbed, and what counts. Frozen data, no torch."""

from __future__ import annotations

import dataclasses
from typing import Any

from analysis.datasets.tasks.table import MOST_ROWS, SPLITS, TASKS, Task
from analysis.schema import content_hash
from analysis.scrubbing.fields import HypothesisError, load_data, read_whole
from analysis.scrubbing.hypothesis import Hypothesis

ROWS = 10_000
_OWN = ("task", "split", "rows", "rows_seed", "dataset_hash", "title")


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What is asked: equal experiments have one hash, and give the same figures."""

    hypothesis: Hypothesis  # its dataset is the task's rows, by name; their hash may be left out
    task: str
    split: str = "search"
    rows: int = ROWS  # of the dataset from which data are drawn
    rows_seed: int = 0  # of the generator that makes them
    title: str = ""  # for people; no part of what is asked

    @classmethod
    def from_json(cls, data: Any) -> Experiment:
        """The experiment that JSON says; a `HypothesisError` where its shape is not that of `json_schema`."""
        if not isinstance(data, dict):
            raise HypothesisError("Reading an experiment: expected named fields, got something else.")
        where = "Reading an experiment"
        own = {name: data[name] for name in _OWN if name in data}
        if "task" not in own:
            raise HypothesisError(f"{where}: expected the field task, which is not there.")
        if not isinstance(own["task"], str) or own["task"] not in TASKS:
            raise HypothesisError(f"{where}: expected a task among {', '.join(TASKS)}, got {str(own['task'])[:80]}.")
        split, title = own.get("split", "search"), own.get("title", "")
        if split not in SPLITS:
            raise HypothesisError(f"{where}: expected a split among {', '.join(SPLITS)}, got {str(split)[:80]}.")
        if not isinstance(title, str) or len(title) > 200:
            raise HypothesisError(f"{where}: expected a title of at most 200 characters.")
        rest = {name: value for name, value in data.items() if name not in _OWN}
        about = {"dataset": f"{own['task']}/{split}", "dataset_hash": own.get("dataset_hash") or "any"}
        return cls(
            Hypothesis.from_json({**rest, **about}),
            task=own["task"],
            split=split,
            rows=read_whole(own.get("rows", ROWS), where=f"{where}, rows", least=2, most=MOST_ROWS),
            rows_seed=read_whole(own.get("rows_seed", 0), where=f"{where}, rows_seed", least=0, most=2**63 - 1),
            title=title,
        )

    def to_json(self) -> dict[str, Any]:
        data = self.hypothesis.to_json()
        del data["dataset"]
        if data["dataset_hash"] == "any":
            del data["dataset_hash"]
        data |= {"task": self.task, "split": self.split, "rows": self.rows, "rows_seed": self.rows_seed}
        return {**data, "title": self.title} if self.title else data

    @property
    def hash(self) -> str:
        """Of what is asked: the title left out, the version of the task's generator put in."""
        asked = self.to_json()
        asked.pop("title", None)
        return content_hash({**asked, "task_version": TASKS[self.task].version})

    @property
    def of_task(self) -> Task:
        return TASKS[self.task]


def read_experiment(text: str) -> Experiment:
    """An experiment from the text of a file, YAML or JSON."""
    return Experiment.from_json(load_data(text))
