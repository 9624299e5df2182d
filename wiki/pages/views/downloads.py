"""Figures as files: SVG and CSV."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from analysis.schema import Component

from .. import head_figures, layer_figures, neuron_figures  # noqa: F401 (they register their figures)
from ..addresses import get_model, require_component
from ..downloads import FIGURES
from ..errors import NotFound


@require_safe
def download(request: HttpRequest, slug: str, name: str, form: str, component: Component | None = None) -> HttpResponse:
    """A figure of a model or of one of its components; what the page's URL chooses is chosen here too."""
    model = get_model(slug)
    if component is not None:
        require_component(model, component)
    kind = "model" if component is None else component.kind.value
    if (kind, name) not in FIGURES:
        known = ", ".join(sorted(figure for of, figure in FIGURES if of == kind))
        raise NotFound(f"Looking for the figure “{name}” of a {kind}: expected one of {known}.", slug=model.slug)
    figure = FIGURES[kind, name](request, model, component)
    file = f"{model.slug}-{component or 'model'}-{name}.{form}"
    if form == "csv":
        headers = {"Content-Disposition": f'attachment; filename="{file}"'}
        return HttpResponse(figure.as_csv(), content_type="text/csv; charset=utf-8", headers=headers)
    return HttpResponse(
        figure.as_svg(), content_type="image/svg+xml", headers={"Content-Disposition": f'inline; filename="{file}"'}
    )
