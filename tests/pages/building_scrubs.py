"""Experiments with runs, for tests of pages: made by the site's services, their artifacts by the engine's own summary
of random samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from django.conf import settings
from django.utils import timezone

from analysis.schema import CODE_VERSION
from analysis.scrubbing.experiment import Experiment as Question
from analysis.scrubbing.plan import Drawn
from analysis.scrubbing.recovery import difference
from analysis.scrubbing.result import OfAssignment, OfNode, Samples, summarise
from analysis.scrubbing.run import Run as EngineRun
from analysis.scrubbing.run import publish_run
from analysis.scrubbing.searched import Searched
from analysis.store import open_store
from wiki.accounts.models import User
from wiki.components.models import LanguageModel
from wiki.experiments.models import Experiment, Job, Run
from wiki.experiments.scrubs import ask_for_experiment, note_figures, problems_of

NODES: list[dict[str, Any]] = [
    {"name": "out", "parts": ["out"]},
    {"name": "induction", "parent": "out", "parts": ["L2H1"], "sampler": {"agree": "end_token"}},
    {"name": "keys", "parent": "induction", "parts": ["L1H2"], "via": ["L2KV0.k"], "sampler": {"agree": "after_token"}},
]


def question_about(model: LanguageModel, **changes: Any) -> Question:
    """A legal one about a model of `building.build_model`."""
    asked = {
        "model": model.slug,
        "model_hash": model.hash,
        "task": "induction-random",
        "rows": 200,
        "n": 40,
        "criterion": 0.8,
        "end_point": {"inputs scrubbed": ["L2H1"]},
        "nodes": NODES,
    }
    question = Question.from_json({**asked, **changes})
    assert problems_of(question, model) == []
    return question


def build_experiment(model: LanguageModel, user: User, **changes: Any) -> Experiment:
    """One that waits."""
    return ask_for_experiment(question_about(model, **changes), model, user=user)


def finish_run(run: Run, *, share: float = 0.6, texts: tuple[str, ...] = ("The cat sat", "on the mat")) -> Run:
    """End a run as a worker does; about this share of the loss is recovered."""
    engine_run = random_run(Question.from_json(run.spec), share=share, texts=texts)
    publish_run(engine_run, open_store(settings.DATA_DIR, settings.STORE_URL))
    recovered = engine_run.result.recovered
    told = {name: getattr(recovered, name) for name in ("value", "error", "low", "high")}
    Job.objects.filter(run=run).update(state=Job.State.DONE, renewed_at=timezone.now())
    note_figures(run, {**engine_run.about, "recovered": told})
    run.refresh_from_db()
    return run


def random_run(question: Question, *, share: float, texts: tuple[str, ...] = ("The cat sat",)) -> EngineRun:
    """What the engine would say of an experiment if so much of the loss were recovered, up to noise."""
    hypothesis = question.hypothesis
    samples = random_samples(hypothesis.n, share=share, seed=hypothesis.seed)
    recovered = samples.recovered(seed=hypothesis.seed)
    exact = samples.scrubbed - 0.2
    nodes = [
        OfNode(
            hypothesis.path(node.name),
            Drawn(donors=20, draws=hypothesis.n, few=3, only_one=1),
            samples.recovered(seed=1, losses=exact),
            difference(exact, samples.scrubbed, samples.model, samples.nothing, documents=samples.documents, seed=1),
        )
        for node in hypothesis.nodes
        if node.parent is not None
    ]
    result = summarise(
        hypothesis,
        samples,
        classes={"order": np.arange(question.rows) % 2},
        nodes=nodes,
        assignments=[OfAssignment(("L0H0", "L1H1"), recovered)],
        paths_intact=0.25,
        layer_rows=1_000,
        layer_rows_one_forward_each=5_000,
    )
    worst = [
        {
            "sample": at,
            "row": int(samples.reference[at]),
            "text": text,
            "losses": {name: float(getattr(samples, name)[at]) for name in ("model", "scrubbed", "nothing")},
            "outputs": {"model": [-0.5, None], "scrubbed": [-1.5, None]},
            "swapped_in": [{"draw": "out, other", "row": 3, "text": text[::-1]}],
            "mended_by": {"out/induction": 0.2},
        }
        for at, text in enumerate(texts)
    ]
    about = {"code": CODE_VERSION, "device": "cpu", "dataset_hash": "d" * 64, "rows": question.rows, "task_version": 1}
    return EngineRun(question, result, samples, worst, random_search(texts), {"out, other": samples.reference}, about)


def random_search(texts: tuple[str, ...]) -> Searched:
    found = [
        {"row": at, "text": f"{text}!", "losses": {"model": 0.5, "scrubbed": 4.5}} for at, text in enumerate(texts)
    ]
    return Searched(rows=256, rows_seed=1, samples=32, worst=tuple(found), mean_of_worst=4.0, mean_of_worst_uniform=2.5)


def random_samples(n: int, *, share: float, seed: int) -> Samples:
    noise = np.random.default_rng(seed).normal(size=(4, n)) * 0.1
    model, nothing = 1 + noise[0], 3 + noise[1]
    scrubbed = nothing + share * (model - nothing) + noise[2]
    return Samples(
        reference=np.arange(n),
        documents=np.arange(n) // 2,
        scrubbed=scrubbed,
        model=model,
        nothing=nothing,
        scrubbed_outputs=-scrubbed[:, None],
        model_outputs=-model[:, None],
    )


def printed(recovered: Mapping[str, float | None]) -> str:
    """A share as every page prints it: never without its standard error and its interval."""
    share, error, low, high = (100 * (recovered[name] or 0.0) for name in ("value", "error", "low", "high"))
    return f"{share:.1f} % ± {error:.1f} ({low:.1f} to {high:.1f})".replace("-", "−")
