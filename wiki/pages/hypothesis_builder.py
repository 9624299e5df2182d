"""The builder of a hypothesis: a form and a YAML pane that say the same, what is wrong of it, and who has the last word
where one of them was changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from analysis.schema import canonical_json
from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.fields import HypothesisError, load_data
from analysis.scrubbing.legality import Problem
from wiki.components.models import LanguageModel
from wiki.experiments.scrubs import problems_of

from .addresses import find_model
from .hypothesis_form import MOST_NODES, OF_NODE, USUAL, Fields, as_yaml

BOTH_CHANGED = (
    "Reading what you typed: expected the form or the YAML to be changed, got both. “Use the form” or “Use the YAML” "
    "says which one is meant."
)
CANNOT_BE_READ = (
    "Changing the form: expected a YAML beside it that it can show, got another; mend the YAML, or “Use the form” "
    "writes it anew."
)
NOT_TEXT = "Reading an experiment: expected finite numbers and text without control characters, got others."
MOST_TEXT = 200_000


@dataclasses.dataclass
class Builder:
    """What stands in both panes, and what is wrong of it."""

    fields: Fields
    text: str
    data: Any = None  # what is meant; None where that cannot be said
    problems: list[Problem] = dataclasses.field(default_factory=list)
    model: LanguageModel | None = None
    question: Question | None = None  # None where it cannot be read
    seen_before: tuple[str, str] | None = None  # of form and YAML when neither was changed; None: as they are now

    @property
    def shows_all(self) -> bool:
        """Whether the form says what the YAML says."""
        return self.data is not None and _same(self.fields.to_data(model_hash=self._hash()), self.data)

    @property
    def seen_form(self) -> str:
        return self.seen_before[0] if self.seen_before else digest(as_yaml(self.fields.to_data(model_hash="")))

    @property
    def seen_text(self) -> str:
        return self.seen_before[1] if self.seen_before else digest(self.text)

    def problems_of_node(self, at: int) -> list[str]:
        """What is wrong of the node in this place of the form."""
        name = self.fields.nodes[at]["name"]
        return [problem.sentence for problem in self.problems if problem.node in (name, f"#{at + 1}")]

    @property
    def whole_problems(self) -> list[str]:
        """What is wrong of no node that the form shows."""
        shown = {node["name"] for node in self.fields.nodes} | {f"#{at + 1}" for at in range(len(self.fields.nodes))}
        return [problem.sentence for problem in self.problems if problem.node is None or problem.node not in shown]

    def _hash(self) -> str:
        slug = self.fields.settings["model"]
        if self.model is None or self.model.slug != slug:
            self.model = find_model(slug)
        return self.model.hash if self.model else ""

    def say_form(self) -> None:
        """The form has the last word."""
        self.data = self.fields.to_data(model_hash=self._hash())
        self.text = as_yaml(self.data)
        self.judge()

    def say_text(self) -> None:
        """The YAML has the last word; where it cannot be shown, the form stays as it is."""
        try:
            data = load_data(self.text)
        except HypothesisError as error:
            self.data, self.problems = None, [Problem(None, str(error))]
            return
        if not _can_be_shown(data):
            self.data, self.problems = None, [Problem(None, NOT_TEXT)]
            return
        if isinstance(data, dict) and isinstance(data.get("model"), str) and "model_hash" not in data:
            model = find_model(data["model"])
            data |= {"model_hash": model.hash} if model else {}
        self.data = data
        shown = Fields.of_data(data)
        if shown is not None:
            self.fields = shown
        self._hash()
        self.judge()

    def judge(self) -> None:
        """Say what is wrong of the data."""
        try:
            question = Question.from_json(self.data)
        except HypothesisError as error:
            self.problems = [Problem(_node_of(str(error), self.data), str(error))]
            return
        if not _can_be_kept(question):
            self.problems = [Problem(None, NOT_TEXT)]
            return
        model = find_model(question.hypothesis.model)
        if model is None:
            sentence = f"Reading an experiment: expected a model of this site, got {question.hypothesis.model[:80]}."
            self.problems = [Problem(None, sentence)]
            return
        self.model, self.question = model, question
        self.problems = problems_of(question, model)


def _same(one: Any, other: Any) -> bool:
    """Whether two pieces of data ask the same, one of them perhaps with what is usual written out."""
    try:
        return one == other or Question.from_json(one) == Question.from_json(other)
    except HypothesisError:
        return False


def _can_be_shown(data: Any) -> bool:
    """Whether data is made of text that can be sent, and does not hold itself."""
    try:
        json.dumps(data, ensure_ascii=False, skipkeys=True, default=str).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _can_be_kept(question: Question) -> bool:
    """Whether a question is made of finite numbers and of text that databases take."""
    try:
        text = canonical_json(question.to_json())
        text.encode()
    except ValueError:
        return False
    return "\\u0000" not in text


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def from_data(data: Mapping[str, Any]) -> Builder:
    """A builder that is filled with an experiment's data."""
    builder = Builder(Fields({**dict.fromkeys(USUAL, ""), "model": ""}, []), as_yaml(dict(data)))
    builder.say_text()
    if builder.shows_all:
        builder.say_form()  # without what is usual
    return builder


def from_post(sent: Mapping[str, str]) -> Builder:
    """What was sent, read as whoever sent it meant it: `do` says what was pressed."""
    text = sent.get("yaml", "")[:MOST_TEXT].replace("\r\n", "\n")
    builder, do = Builder(Fields.of_post(sent), text), sent.get("do", "check")
    # who sends a YAML alone means it
    form_changed = "seen_form" in sent and builder.seen_form != sent["seen_form"]
    text_changed = builder.seen_text != sent.get("seen_text", "")
    if do == "use-form":
        builder.say_form()
    elif do == "use-yaml" or not form_changed:
        builder.say_text()
    elif text_changed:
        return _undecided(builder, sent, BOTH_CHANGED)
    elif sent.get("shows_all") != "yes":
        return _undecided(builder, sent, CANNOT_BE_READ)
    else:
        builder.say_form()
    if do.startswith(("add", "remove-")) and builder.data is not None:
        _change_nodes(builder, do)
    return builder


def _undecided(builder: Builder, sent: Mapping[str, str], sentence: str) -> Builder:
    builder.seen_before = sent.get("seen_form", "")[:16], sent.get("seen_text", "")[:16]
    builder.problems = [Problem(None, sentence)]
    return builder


def _change_nodes(builder: Builder, do: str) -> None:
    """Add an empty node, or remove the one that is named by its place."""
    nodes, place = list(builder.fields.nodes), do.removeprefix("remove-")
    if not builder.shows_all or (do == "add" and len(nodes) >= MOST_NODES):
        builder.problems.insert(0, Problem(None, CANNOT_BE_READ))
        return
    if do == "add":
        parent = nodes[0]["name"] if nodes else ""
        name = next(name for n in range(1, MOST_NODES + 2) if (name := f"node {n}") not in {n["name"] for n in nodes})
        nodes.append(dict.fromkeys(OF_NODE, "") | {"name": name, "parent": parent, "sampler": "agree"})
    elif place.isascii() and place.isdigit() and int(place[:3]) < len(nodes):
        del nodes[int(place[:3])]
    builder.fields = Fields(builder.fields.settings, nodes)
    builder.say_form()


def _node_of(sentence: str, data: Any) -> str | None:
    """The node that a sentence of reading is about, by its name, or by its place as `#2`."""
    nodes = data.get("nodes") if isinstance(data, dict) else None
    said = sentence.removeprefix("Reading node ")
    if said == sentence or not isinstance(nodes, list):
        return None
    names = [node["name"] for node in nodes if isinstance(node, dict) and isinstance(node.get("name"), str)]
    found = [name for name in names if said.startswith((f"{name}:", f"{name},"))]
    if found:
        return max(found, key=len)
    number = said.partition(":")[0].partition(",")[0]
    return f"#{number}" if number.isdigit() else None
