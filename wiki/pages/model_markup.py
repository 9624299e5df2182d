"""HTML of what has hundreds of parts, written in one go: templates and `format_html` take ten times as long.

Names of components need no escaping; every other text is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from django.utils.safestring import SafeString, mark_safe

from analysis.metrics import Metric
from analysis.schema import Component
from wiki.components.models import LanguageModel

from .figures import HeadMap
from .finder import Found
from .lens import LensCurves
from .metric_groups import METRIC_GROUPS


def component_rows(model: LanguageModel, rows: Iterable[tuple[Component, Sequence[str]]]) -> SafeString:
    """Rows of a table: a component as a link, and its figures."""
    base = escape(model.get_absolute_url())
    parts = []
    for component, figures in rows:
        name = str(component)
        cells = "".join([f'<td class="mono">{escape(figure)}</td>' for figure in figures])
        parts.append(f'<tr><th scope="row"><a href="{base}{name}/">{name}</a></th>{cells}</tr>')
    return mark_safe("\n".join(parts))  # noqa: S308 (escaped above)


def found_rows(model: LanguageModel, found: Iterable[Found]) -> SafeString:
    """Rows of the finder's table: rank, head as a link, and figure."""
    base = escape(model.get_absolute_url())
    return mark_safe(  # noqa: S308 (escaped here)
        "\n".join(
            [
                f'<tr><td class="soft">{head.rank}</td><td><a href="{base}{head.component}/">{head.component}</a></td>'
                f'<td class="mono">{escape(head.figure)}</td></tr>'
                for head in found
            ]
        )
    )


def lens_links(model: LanguageModel, lens: LensCurves) -> SafeString:
    """The layers of the curves as links in SVG: a column each, with its dots."""
    base, height = escape(model.get_absolute_url()), lens.bottom - lens.top
    parts = []
    for point in lens.points:
        words = escape(point.words)
        dots = "".join([f'<circle cx="{point.x}" cy="{y}" r="3" />' for y in point.dots])
        column = f'<rect class="column" x="{point.left}" y="{lens.top}" width="{point.width}" height="{height}" />'
        parts.append(f'<a href="{base}{point.layer}/" aria-label="{words}"><title>{words}</title>{column}{dots}</a>')
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


def map_rows(model: LanguageModel, head_map: HeadMap, metric: Metric) -> SafeString:
    """Rows of a model's map: a layer as a link, and its heads as shaded links with their figures."""
    base, label = escape(model.get_absolute_url()), escape(metric.label)
    parts = []
    for layer, cells in head_map.rows:
        parts.append(f'<tr><th scope="row"><a href="{base}{layer}/">{layer}</a></th>')
        for cell in cells:
            name, figure = str(cell.component), escape(cell.figure)
            words, shade = f"{name}: could not be computed", ""
            if figure:
                words = f"{name}: {label} {figure}, rank {cell.rank} of {cell.of}"
                shade = f' class="a{cell.level}{" minus" if cell.negative else ""}"'
            attributes = f'href="{base}{name}/" title="{words}" aria-label="{words}"'
            parts.append(f"<td><a{shade} {attributes}>{figure or '–'}</a></td>")
        parts.append("</tr>\n")
    return mark_safe("".join(parts))  # noqa: S308 (escaped above)
