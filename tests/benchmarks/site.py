"""A site over the real store, as `make run` serves it, with a database and a cache of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from analysis.schema import PromptSpec
from analysis.store import open_artifact

from .data import MODEL, real_store, store_aside, survey_in_depth, weights_of
from .machine import ROOT

TEXT = "When Mary and John went to the store, John gave a drink to Mary."


@contextlib.contextmanager
def site(database: str = "") -> Iterator[Path]:
    """Settings, database and static files of a site in a temporary data folder, which is yielded; the surveys and
    the weights of the real store are registered there, and a text is measured. Django is set up when the block begins.

    `database` is the address of an empty one; SQLite's is in the folder.
    """
    store = real_store()
    weights_of(store, survey_in_depth(store))
    with store_aside(store) as aside:
        data = aside.parent
        for name in [name for name in os.environ if name.startswith(("LOUPE_", "DJANGO_"))]:
            del os.environ[name]
        os.environ |= {
            "LOUPE_DATA": str(data),
            "LOUPE_SECRET_KEY": "benchmarks-only",
            "LOUPE_WORKER_SECRET": "benchmarks-only",
            "DJANGO_SETTINGS_MODULE": "wiki.settings",
            **({"LOUPE_DATABASE_URL": database} if database else {}),
        }
        for arguments in (["migrate", "--verbosity=0"], ["collectstatic", "--no-input", "--verbosity=0"]):
            subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, check=True)
        spec = PromptSpec(MODEL, open_artifact(aside / "models" / MODEL).meta["hash"], TEXT)
        _measure_text(aside, spec)
        _register(aside, spec)
        yield data


def text_address() -> str:
    """The page of the text that was measured."""
    from wiki.experiments.models import Measurement  # noqa: PLC0415 (Django is set up by now)

    return f"/m/{MODEL}/text/{Measurement.objects.get(kind='prompt').hash}/"


def _measure_text(store: Path, spec: PromptSpec) -> None:
    """In a process of its own, which may load torch."""
    code = (
        "import json, sys; from pathlib import Path; from analysis.prompt import measure_promoted, measure_prompt;"
        "from analysis.schema import PromotedSpec, PromptSpec;"
        "store, spec = Path(sys.argv[1]), PromptSpec.from_json(json.loads(sys.argv[2]));"
        "measure_prompt(store, spec);"
        "measure_promoted(store, PromotedSpec(**spec.to_json()), on_layer=lambda _: None)"
    )
    subprocess.run([sys.executable, "-c", code, str(store), json.dumps(spec.to_json())], cwd=ROOT, check=True)


def _register(store: Path, text: PromptSpec) -> None:
    """What is measured, as rows of the database."""
    import django  # noqa: PLC0415 (its settings are in the environment by now)

    django.setup()
    from django.utils import timezone  # noqa: PLC0415

    from analysis.schema import JobKind, PromotedSpec, Spec, SurveySpec, WeightsSpec  # noqa: PLC0415
    from wiki.experiments.first_surveys import register_model  # noqa: PLC0415
    from wiki.experiments.models import Measurement, Pin, Survey  # noqa: PLC0415

    model, now = register_model(open_artifact(store / "models" / MODEL).meta), timezone.now()
    for path in sorted((store / "surveys").glob("*")):
        spec = SurveySpec.from_json(open_artifact(path).meta["spec"])
        if spec.model == MODEL:
            survey = Survey.objects.create(
                hash=spec.hash, model=model, dataset=spec.dataset, spec=spec.to_json(), finished_at=now
            )
            Pin.objects.get_or_create(model=model, dataset=spec.dataset, defaults={"survey": survey})
    measured: list[tuple[JobKind, Spec]] = [(JobKind.PROMPT, text), (JobKind.PROMOTED, PromotedSpec(**text.to_json()))]
    readings = [open_artifact(path).meta["spec"] for path in sorted((store / "weights").glob("*"))]
    measured += [(JobKind.WEIGHTS, WeightsSpec.from_json(reading)) for reading in readings]
    for kind, asked in measured:
        Measurement.objects.create(hash=asked.hash, kind=kind.value, model=model, spec=asked.to_json(), finished_at=now)
