"""HTML of what has hundreds of parts, written in one go: templates and `format_html` take ten times as long.

Names of components need no escaping; every other text is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from django.utils.safestring import SafeString, mark_safe

from analysis.metrics import Metric
from analysis.schema import Component

from .figures import HeadMap
from .finder import Found
from .lens import LensCurves
from .measurements import Measurements
from .metric_groups import METRIC_GROUPS


def _link_parts(measurements: Measurements) -> tuple[str, str]:
    """What stands before and after a component's name and slash in the address of its page."""
    return escape(measurements.model_url), escape(measurements.survey_query)


def component_rows(measurements: Measurements, rows: Iterable[tuple[Component, Sequence[str]]]) -> SafeString:
    """Rows of a table: a component as a link, and its figures."""
    base, end = _link_parts(measurements)
    parts = []
    for component, figures in rows:
        name = str(component)
        cells = "".join([f'<td class="mono">{escape(figure)}</td>' for figure in figures])
        parts.append(f'<tr><th scope="row"><a href="{base}{name}/{end}">{name}</a></th>{cells}</tr>')
    return mark_safe("\n".join(parts))  # noqa: S308 (escaped above)


def found_rows(measurements: Measurements, found: Iterable[Found]) -> SafeString:
    """Rows of the finder's table: rank, head as a link, and figure."""
    base, end = _link_parts(measurements)
    parts = []
    for head in found:
        name = str(head.component)
        parts.append(
            f'<tr><td class="soft">{head.rank:,}</td><td><a href="{base}{name}/{end}">{name}</a></td>'
            f'<td class="mono">{escape(head.figure)}</td></tr>'
        )
    return mark_safe("\n".join(parts))  # noqa: S308 (escaped above)


def lens_links(measurements: Measurements, lens: LensCurves) -> SafeString:
    """The layers of the curves as links in SVG: a column each, with its dots."""
    base, end = _link_parts(measurements)
    height = lens.bottom - lens.top
    parts = []
    for point in lens.points:
        words = escape(point.words)
        dots = "".join([f'<circle cx="{point.x}" cy="{y}" r="3" />' for y in point.dots])
        column = f'<rect class="column" x="{point.left}" y="{lens.top}" width="{point.width}" height="{height}" />'
        parts.append(
            f'<a href="{base}{point.layer}/{end}" aria-label="{words}"><title>{words}</title>{column}{dots}</a>'
        )
    return mark_safe("\n".join(parts))  # noqa: S308 (escaped above)


def metric_options(chosen: Metric) -> SafeString:
    """Every head metric to choose from, by group."""
    parts = []
    for name, metrics in METRIC_GROUPS.items():
        options = "".join(
            [
                f'<option value="{metric.key}"{" selected" if metric is chosen else ""}>{escape(metric.label)}</option>'
                for metric in metrics
            ]
        )
        parts.append(f'<optgroup label="{escape(name)}">{options}</optgroup>')
    return mark_safe("".join(parts))  # noqa: S308 (escaped above)


def map_rows(measurements: Measurements, head_map: HeadMap, metric: Metric) -> SafeString:
    """Rows of a model's map: a layer as a link, and its heads as shaded links with their figures."""
    base, end = _link_parts(measurements)
    label = escape(metric.label)
    parts = []
    for layer, cells in head_map.rows:
        parts.append(f'<tr><th scope="row"><a href="{base}{layer}/{end}">{layer}</a></th>')
        for cell in cells:
            name, figure = str(cell.component), escape(cell.figure)
            words, shade = f"{name}: could not be computed", ""
            if figure:
                words = f"{name}: {label} {figure}, rank {cell.rank:,} of {cell.of:,}"
                shade = f' class="a{cell.level}{" minus" if cell.negative else ""}"'
            attributes = f'href="{base}{name}/{end}" title="{words}" aria-label="{words}"'
            parts.append(f"<td><a{shade} {attributes}>{figure or '–'}</a></td>")
        parts.append("</tr>\n")
    return mark_safe("".join(parts))  # noqa: S308 (escaped above)
