"""The neurons of a layer, sorted, filtered and paged as the URL says."""

from __future__ import annotations

import dataclasses
import math
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.http import QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString

from analysis.metrics import NEURON_METRICS, Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import SurveyResult

from .errors import NotFound
from .markup import join_markup
from .neuron_values import figures_of

PER_PAGE = 50
# What the URL of a layer's page says.
NAMES = ("text", "survey", "sort", "order", "where", "min", "max", "x", "y", "page")
BY_KEY = {metric.key: metric for metric in NEURON_METRICS}


@dataclasses.dataclass(frozen=True)
class TableQuery:
    """What the URL asks of the table and of the scatter beside it."""

    sort: Metric
    ascending: bool
    where: Metric | None
    low: float | None
    high: float | None
    page: int
    x: Metric
    y: Metric
    survey: str
    text: str  # of the thumbnails on the same page
    missing: tuple[str, ...]  # what the URL names and is not here

    def url(self, **changes: Any) -> str:
        """The address of the same view with something changed."""
        new = dataclasses.replace(self, **changes)
        parts: dict[str, str] = {}
        if new.text:
            parts["text"] = new.text
        if new.survey:
            parts["survey"] = new.survey
        parts |= {"sort": new.sort.key, "order": "up" if new.ascending else "down"}
        if new.where:
            parts["where"] = new.where.key
            parts |= {name: f"{end:g}" for name, end in (("min", new.low), ("max", new.high)) if end is not None}
        parts |= {"x": new.x.key, "y": new.y.key}
        if new.page > 1:
            parts["page"] = str(new.page)
        return f"?{urlencode(parts)}"


def parse_query(asked: QueryDict) -> TableQuery:
    """Read the URL; what is not a metric or not a number is said to be missing."""
    missing = []

    def metric(name: str, default: str) -> Metric:
        key = asked.get(name, "")
        if key and key not in BY_KEY:
            missing.append(f"the metric “{key[:80]}”")
        return BY_KEY.get(key, BY_KEY[default])

    def number(name: str) -> float | None:
        text = asked.get(name, "").strip()
        try:
            value = float(text) if text else None
        except ValueError:
            value = None
        if text and (value is None or not math.isfinite(value)):
            missing.append(f"the number “{text[:80]}”")
            return None
        return value

    page = asked.get("page", "1")
    if not (page.isascii() and page.isdigit() and int(page[:9]) > 0):
        missing.append(f"page “{page[:80]}”")
        page = "1"
    return TableQuery(
        sort=metric("sort", "kurtosis"),
        ascending=asked.get("order", "") == "up",
        where=metric("where", "share_active") if asked.get("where") else None,
        low=number("min"),
        high=number("max"),
        page=int(page[:9]),
        x=metric("x", "share_active"),
        y=metric("y", "kurtosis"),
        survey=asked.get("survey", ""),
        text=asked.get("text", ""),
        missing=tuple(missing),
    )


def require_query(asked: QueryDict, *, doing: str, slug: str) -> TableQuery:
    """Read the URL; 404 with a sentence where it names what is not here."""
    query = parse_query(asked)
    if query.missing:
        known = ", ".join(BY_KEY)
        raise NotFound(
            f"{doing}: expected metrics among {known}, finite numbers and a page from 1, got "
            f"{', '.join(query.missing)}.",
            slug=slug,
        )
    return query


@dataclasses.dataclass(frozen=True)
class NeuronTable:
    """A page of a layer's neurons, and how many there are."""

    query: TableQuery
    model: LanguageModel
    layer: int
    values: dict[str, np.ndarray]  # by metric: float32 [neuron]
    errors: dict[str, np.ndarray]  # of means
    chosen: np.ndarray  # neurons that the filter keeps, sorted
    page: int

    @property
    def n_pages(self) -> int:
        return max(1, -(-len(self.chosen) // PER_PAGE))

    @property
    def shown(self) -> list[int]:
        return self.chosen[(self.page - 1) * PER_PAGE : self.page * PER_PAGE].tolist()

    @property
    def first(self) -> int:
        return (self.page - 1) * PER_PAGE + 1

    @property
    def last(self) -> int:
        return min(len(self.chosen), self.page * PER_PAGE)

    @property
    def previous_url(self) -> str:
        return self.query.url(page=self.page - 1) + "#neurons" if self.page > 1 else ""

    @property
    def next_url(self) -> str:
        return self.query.url(page=self.page + 1) + "#neurons" if self.page < self.n_pages else ""

    @property
    def head_html(self) -> SafeString:
        """Headings that sort: from the highest, and from the lowest where that is already so."""
        columns = []
        for metric in NEURON_METRICS:
            here = metric == self.query.sort
            ascending = here and not self.query.ascending
            url = self.query.url(sort=metric, ascending=ascending, page=1)
            sorted_as = ("ascending" if self.query.ascending else "descending") if here else ""
            arrow = {"ascending": " ↑", "descending": " ↓", "": ""}[sorted_as]
            columns.append((sorted_as or "none", url, metric.label, arrow))
        return join_markup('<th scope="col" aria-sort="{}"><a href="{}#neurons">{}{}</a></th>', columns)

    @property
    def rows_html(self) -> SafeString:
        before = reverse("neuron", args=[self.model.slug, Component(self.layer, neuron=0)]).removesuffix("0/")
        after = f"?{urlencode({'survey': self.query.survey})}" if self.query.survey else ""
        return join_markup(
            '<tr><th scope="row"><a href="{}{}/{}">L{}N{}</a></th>{}</tr>',
            ((before, neuron, after, self.layer, neuron, self._cells(neuron)) for neuron in self.shown),
        )

    def _cells(self, neuron: int) -> SafeString:
        return join_markup('<td class="mono">{}</td>', ((text,) for text in self._figures(neuron)))

    def _figures(self, neuron: int) -> list[str]:
        figures = []
        for metric in NEURON_METRICS:
            value = float(self.values[metric.key][neuron])
            if not math.isfinite(value):
                figures.append("–")
            else:
                figure, error = figures_of(metric, value, self._error(metric, neuron) if metric.is_mean else None)
                figures.append(f"{figure} ± {error}" if error else figure)
        return figures

    def _error(self, metric: Metric, neuron: int) -> float:
        return float(self.errors[metric.key][neuron])

    def to_json(self) -> dict[str, Any]:
        return {
            "sort": self.query.sort.key,
            "order": "up" if self.query.ascending else "down",
            "where": self.query.where.key if self.query.where else None,
            "min": self.query.low,
            "max": self.query.high,
            "page": self.page,
            "pages": self.n_pages,
            "matching": len(self.chosen),
            "of": self.model.d_mlp,
            "neurons": {
                f"L{self.layer}N{neuron}": {
                    metric.key: {
                        "value": float(self.values[metric.key][neuron]),
                        "error": self._error(metric, neuron) if metric.is_mean else None,
                    }
                    for metric in NEURON_METRICS
                }
                for neuron in self.shown
            },
        }


def table_of(result: SurveyResult, model: LanguageModel, layer: int, query: TableQuery) -> NeuronTable:
    """The page of the table that the URL asks for; past the end it is the last page."""
    values, errors = {}, {}
    for metric in NEURON_METRICS:
        values[metric.key], found = result.of_layer(metric, layer)
        if found is not None:
            errors[metric.key] = found
    by = values[query.sort.key]
    # what could not be computed comes last, and equal values in order of neurons
    order = np.argsort(np.where(np.isfinite(by), by if query.ascending else -by, np.inf), kind="stable")
    if query.where:
        kept = values[query.where.key][order]
        low = -np.inf if query.low is None else query.low
        high = np.inf if query.high is None else query.high
        order = order[(kept >= low) & (kept <= high)]
    n_pages = max(1, -(-len(order) // PER_PAGE))
    return NeuronTable(query, model, layer, values, errors, order, min(query.page, n_pages))
