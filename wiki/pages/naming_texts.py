"""The texts that name an experiment."""

from __future__ import annotations

import dataclasses
from typing import Any

from wiki.experiments.models import Experiment
from wiki.texts.access import Person
from wiki.texts.addresses import address_of, name_of
from wiki.texts.experiments import names_of_experiment
from wiki.texts.links import what_links_here

# The newest are shown.
MOST_SHOWN = 50


@dataclasses.dataclass(frozen=True)
class NamingText:
    """A text, and how it names the experiment: mentions it, or as evidence for or against something."""

    words: str
    name: str
    url: str

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.words, "name": self.name, "url": self.url}


def texts_naming(experiment: Experiment, *, user: Person) -> list[NamingText]:
    """The newest that `user` may see; one query."""
    links = what_links_here(names_of_experiment(experiment.hash), user=user)[:MOST_SHOWN]
    found = [
        NamingText(link.get_kind_display().lower(), name_of(link.source), address_of(link.source)) for link in links
    ]
    return list(dict.fromkeys(found))
