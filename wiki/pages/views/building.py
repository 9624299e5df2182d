"""`/x/new/`: a hypothesis is built in a form or as YAML, checked, and asked."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from analysis.datasets.features import COMBINATORS
from analysis.datasets.tasks.table import SPLITS, TASKS
from analysis.replications.recorded import experiment_file, read_recorded
from analysis.scrubbing.experiment import read_experiment
from analysis.scrubbing.hypothesis import EndPointKind, MaskOf, SamplerKind
from wiki.components.models import LanguageModel
from wiki.experiments.access import require_may_experiment
from wiki.experiments.models import Experiment
from wiki.experiments.scrubs import MOST_ROWS, MOST_SAMPLES, ExperimentError, ask_for_experiment
from wiki.texts.views.finding import gives_back_what_was_typed

from ..addresses import find_model
from ..errors import NotFound
from ..hypothesis_builder import Builder, from_data, from_post
from ..hypothesis_form import MOST_NODES
from ..hypothesis_tree import tree_of

DOING = "Building a hypothesis"
SESSION_ENDED = (
    "Building a hypothesis: expected somebody who is signed in, got nobody; your session ended. Sign in in another tab "
    "and send it again: what you typed is below."
)
# What lists of suggestions have at most: more is slower to load than to type.
MOST_SUGGESTED = 600
MOST_MODELS = 300


@require_http_methods(["GET", "HEAD", "POST"])
@gives_back_what_was_typed
def new_experiment(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        require_may_experiment(request.user, doing=DOING)
        return _page(request, _started(request))
    builder = from_post(request.POST)
    try:
        user = require_may_experiment(request.user, doing=DOING)
    except PermissionDenied as error:
        refusal = str(error) if request.user.is_authenticated else SESSION_ENDED
        return _page(request, builder, refusal=refusal, status=403)
    do = request.POST.get("do", "check")
    if builder.problems or do != "run":
        # the script that looks while somebody types is told, not refused
        refused = builder.problems and (do in ("run", "check") or (do != "look" and builder.data is None))
        return _page(request, builder, checked=True, status=400 if refused else 200)
    assert builder.question is not None
    assert builder.model is not None
    try:
        experiment = ask_for_experiment(builder.question, builder.model, user=user)
    except ExperimentError as error:
        return _page(request, builder, refusal=str(error), status=429)
    return HttpResponseRedirect(experiment.get_absolute_url())


def _started(request: HttpRequest) -> Builder:
    """Filled with the experiment of `?from=`, with a recorded one of `?replication=`, or with a first node on the part
    of `?part=`."""
    if wanted := request.GET.get("replication", ""):
        if wanted not in read_recorded()["rows"]:
            raise NotFound(f"Building a hypothesis: expected a row of the replications, got “{wanted[:40]}”.")
        return from_data(read_experiment(experiment_file(wanted).read_text(encoding="utf-8")).to_json())
    if wanted := request.GET.get("from", ""):
        experiment = Experiment.objects.filter(hash=wanted[:64].replace("\0", "")).first()
        if experiment is None:
            raise NotFound(f"Refining the experiment {wanted[:12]}: there is none of that hash.")
        title = {"title": experiment.title} if experiment.title else {}
        return from_data({**title, **experiment.spec})
    model = find_model(request.GET.get("model", "")) or LanguageModel.objects.order_by("slug").first()
    part = request.GET.get("part", "")[:80].replace("\0", "")
    asked = request.GET.get("task", "")
    task = asked if asked in TASKS else "brackets" if model and model.slug == "paren-balance" else "induction-random"
    claim = {"name": "claim", "parent": "out", "parts": [part] if part else [], "sampler": "unconditional"}
    about = {"model": model.slug, "model_hash": model.hash} if model else {}
    data = {**about, "task": task, "n": 1000, "rows": 10_000, "nodes": [{"name": "out", "parts": ["out"]}, claim]}
    return from_data(data)


def _page(
    request: HttpRequest, builder: Builder, *, refusal: str = "", checked: bool = False, status: int = 200
) -> HttpResponse:
    data, settings = builder.data, builder.fields.settings
    nodes = data.get("nodes") if isinstance(data, dict) else None
    shown = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    wrong: dict[str, list[str]] = {}
    for problem in builder.problems:
        if problem.node is not None:
            wrong.setdefault(problem.node, []).append(problem.sentence)
    hypothesis = builder.question.hypothesis if builder.question else None
    task = TASKS.get(settings["task"])
    # an empty field is wrong only once somebody had it checked
    judged = checked or refusal or status != 200
    context: dict[str, Any] = {
        "builder": builder,
        "settings_": settings,
        "nodes": [
            {"at": at, "number": at + 1, "fields": fields, "problems": builder.problems_of_node(at) if judged else []}
            for at, fields in enumerate(builder.fields.nodes)
        ],
        "problems": builder.whole_problems if judged else [],
        "refusal": refusal,
        "is_fine": judged and not builder.problems and not refusal,
        "tree": tree_of(shown, builder.model, hypothesis=hypothesis, wrong=wrong if judged else {}),
        "models": list(LanguageModel.objects.order_by("slug").values_list("slug", flat=True)[:MOST_MODELS]),
        "tasks": TASKS.values(),
        "task": task,
        "features": task.features.values() if task else [],
        "combinators": COMBINATORS.items(),
        "roles": task.roles.items() if task else [],
        "splits": SPLITS,
        "end_points": [kind.value for kind in EndPointKind],
        "masks": [mask.value for mask in MaskOf],
        "samplers": [(kind.value, words) for kind, words in _SAMPLERS.items()],
        "parts": _suggested_parts(builder.model),
        "most_nodes": MOST_NODES,
        "most_samples": MOST_SAMPLES,
        "most_rows": MOST_ROWS,
        "jump_model": builder.model.slug if builder.model else "",
    }
    response = render(request, "pages/new_experiment.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


_SAMPLERS = {
    SamplerKind.AGREE: "agrees on a feature",
    SamplerKind.UNCONDITIONAL: "any row",
    SamplerKind.EXACT: "the same row as its parent",
    SamplerKind.FIXED: "one row, by number",
}


def _suggested_parts(model: LanguageModel | None) -> list[str]:
    if model is None:
        return []
    heads = [f"L{layer}H{head}" for layer in range(model.n_layers) for head in range(model.n_heads)]
    kinds = ("attn", "mlp") if model.d_mlp else ("attn",)
    layers = [f"L{layer}.{kind}" for layer in range(model.n_layers) for kind in kinds]
    return ["embed", *layers, *heads][:MOST_SUGGESTED]
