"""The experiments that name a component, by what they name it as."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.models import Experiment, NamedPart

from .experiment_list import Listed, listed, with_runs

# A page of a component shows the newest; the list has all.
MOST_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Naming:
    """What a page of a component, or of a model, shows of experiments."""

    url: str = ""  # where all are listed; empty where there are none
    by_role: Sequence[tuple[str, list[Listed]]] = ()

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        return {role: [each.to_json() for each in of_role] for role, of_role in self.by_role}


def experiments_naming(model: LanguageModel, component: Component | None) -> Naming:
    """The newest that name a component of a model, where there are any; two queries, and none for a model, which all of
    its experiments are about."""
    asked = {"model": model.slug, **({"part": str(component)} if component else {})}
    url = f"{reverse('experiments')}?{urlencode(asked)}"
    if component is None:
        return Naming(url)
    named = NamedPart.objects.filter(model=model, component=str(component)).order_by("-pk")
    pairs = list(named.values_list("experiment_id", "role")[: MOST_SHOWN * len(NamedPart.Role)])
    newest = list(dict.fromkeys(pk for pk, _ in pairs))[:MOST_SHOWN]
    found = with_runs(Experiment.objects.filter(pk__in=newest)).select_related("asked_by").defer("spec")
    shown = {each.experiment.pk: each for each in listed(list(found))}
    by_role = [(str(role.label), [shown[pk] for pk in newest if (pk, role.value) in pairs]) for role in NamedPart.Role]
    return Naming(url, [(role, of_role) for role, of_role in by_role if of_role])
