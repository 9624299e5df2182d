"""What `deploy/` and docs/operations.md say is what `make run` does and what the settings read."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from tests.pages.building import build_measured_model
from wiki import launch

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
README = (ROOT / "README.md").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNITS = sorted((DEPLOY / "systemd").iterdir())
# Of other programs than Loupe.
FOREIGN = {
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "POSTGRES_PASSWORD",
    "POSTGRES_USER",
    "POSTGRES_DB",
}


def arguments(command: str) -> list[str]:
    """A command without which Python runs it and without the address that it listens on."""
    words = shlex.split(command)
    assert re.fullmatch(r"python|.*/python[0-9.]*", words[0]), command
    return [re.sub(r"^[0-9.]+:[0-9]+$", "ADDRESS", word) for word in words[1:]]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The commands that `make run` starts, by name."""
    started: dict[str, str] = {}

    class Manager:
        returncode = 0

        def add_process(self, name: str, command: str, **options: object) -> None:
            started[name] = command

        def loop(self) -> None:
            """Everything ended at once."""

    monkeypatch.setattr(launch, "Manager", Manager)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    launch.supervise({"PORT": "8000"})
    # the worker is started by a shell that starts it again
    started["worker"] = started["worker"].removeprefix("while true; do ").split(";")[0]
    return {name: arguments(command) for name, command in started.items()}


def unit(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return {section: dict(parser[section]) for section in parser.sections()}


def variables_of(example: str) -> dict[str, str]:
    lines = [line for line in (DEPLOY / example).read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def listed_in(document: str) -> set[str]:
    return set(re.findall(r"^\| `([A-Z_]+)` \|", document, re.MULTILINE))


def columns_of_the_table() -> dict[str, tuple[bool, bool]]:
    """Of each variable: whether the site needs it, whether a worker does."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (yes)? ?\| (yes)? ?\|", OPERATIONS, re.MULTILINE)
    return {name: (site == "yes", worker == "yes") for name, site, worker in rows}


@pytest.mark.parametrize("name", ["site", "worker", "sweeper"])
def test_compose_units_and_document_start_what_make_run_starts(name: str, launched: dict[str, list[str]]) -> None:
    assert arguments(COMPOSE["services"][name]["command"]) == launched[name]
    (path,) = (path for path in UNITS if path.name in (f"loupe-{name}.service", f"loupe-{name}@.service"))
    assert arguments(unit(path)["Service"]["ExecStart"]) == launched[name]
    documented = [arguments(line) for line in re.findall(r"^\.venv/bin/python [^\"\n]*$", OPERATIONS, re.MULTILINE)]
    assert launched[name] in documented


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_every_unit_is_whole_and_named_in_the_document(path: Path) -> None:
    sections = unit(path)
    assert sections["Unit"]["Description"].startswith("Loupe: ")
    assert path.name.replace("@.", "@0.") in OPERATIONS or path.name == "loupe-collect.service"
    if path.suffix == ".timer":
        assert (DEPLOY / "systemd" / f"{path.stem}.service").exists()
        return
    service = sections["Service"]
    environment = Path(service["EnvironmentFile"])
    assert (DEPLOY / f"{environment.name}.example").exists()
    assert str(environment) in OPERATIONS
    assert variables_of(f"{environment.name}.example")["LOUPE_DATA"] == f"/var/lib/{service['StateDirectory']}"
    for key in ("ExecStart", "ExecStartPre"):
        if command := service.get(key):
            assert command.startswith(f"{service['WorkingDirectory']}/.venv/bin/python ")


def test_variables_of_the_document_are_those_of_the_readme() -> None:
    assert listed_in(OPERATIONS) - FOREIGN == listed_in(README) - {"PORT"}
    assert listed_in(OPERATIONS) & FOREIGN == {name for name in FOREIGN if name.startswith("AWS_")}


def test_examples_and_containers_set_variables_that_exist_where_they_are_needed() -> None:
    table = columns_of_the_table()
    assert len(table) == len(listed_in(OPERATIONS))
    site, worker = variables_of("loupe.env.example"), variables_of("worker.env.example")
    services = COMPOSE["services"]
    for variables in (site, services["site"]["environment"], services["sweeper"]["environment"]):
        # the containers' anchor adds the site's own address, for the workers
        assert all(table[name][0] for name in variables if name != "LOUPE_SITE_URL")
    for variables in (worker, services["worker"]["environment"]):
        assert all(table[name][1] for name in variables)
        assert not {"LOUPE_DATABASE_URL", "LOUPE_SECRET_KEY"} & set(variables)
    # what a worker cannot do without
    assert {"LOUPE_BROKER_URL", "LOUPE_SITE_URL", "LOUPE_WORKER_SECRET"} <= set(services["worker"]["environment"])
    for name in ("LOUPE_WORKER_SECRET", "LOUPE_STORE", "AWS_ENDPOINT_URL", "AWS_REGION"):
        assert site[name] == worker[name]


def test_the_containers_have_no_default_secret_and_start_in_order() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    assert used <= set(columns_of_the_table()) | FOREIGN
    for secret in ("LOUPE_SECRET_KEY", "LOUPE_WORKER_SECRET", "POSTGRES_PASSWORD"):
        assert set(re.findall(rf"\${{{secret}([:?-]*)", text)) == {":?"}
        assert re.search(rf"^for name in .*{secret}.*> \.env$", OPERATIONS, re.MULTILINE)
    services: dict[str, Any] = COMPOSE["services"]
    assert services["site"]["depends_on"] == {"prepare": {"condition": "service_completed_successfully"}}
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])
        assert re.fullmatch(r"loupe|[a-z/]+:[0-9.]+", service["image"]), "an image without a version"
    build = services["site"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    copied = re.findall(r"requirements[a-z0-9-]*\.txt", (DEPLOY / "Dockerfile").read_text())
    assert set(copied) == {"requirements.txt", "requirements-postgres.txt", "requirements-s3.txt"}
    secrets = {"test": services["site"]["healthcheck"]["test"], "address": "/health/"}
    assert secrets["address"] in secrets["test"][-1]


def test_every_command_of_the_document_is_there() -> None:
    for name in re.findall(r"manage\.py ([a-z_]+)", OPERATIONS):
        assert name in get_commands(), name
    for path in re.findall(r"(?:deploy|requirements)[\w./@*-]*\w", OPERATIONS):
        assert list(ROOT.glob(path)), path
    for target in re.findall(r"^make (\w+)$", OPERATIONS, re.MULTILINE):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    services = set(re.findall(r"up --.*--scale (\w+)=|run --rm (\w+) |exec ([\w-]+) ", OPERATIONS))
    assert {name for names in services for name in names if name} <= set(COMPOSE["services"])


def environment_of(example: str, tmp_path: Path) -> dict[str, str]:
    """The example's variables as somebody would fill them in, and nothing else of Loupe's or Django's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE", "AWS"))}
    return clean | variables_of(example) | {"LOUPE_DATA": str(tmp_path)}


def test_the_site_starts_with_the_variables_of_its_example(tmp_path: Path) -> None:
    code = (
        "import django; django.setup()\n"
        "from django.conf import settings; from django.core.cache import cache\n"
        "print(settings.DATABASES['default']['HOST'], settings.STORE_URL, settings.SESSION_COOKIE_SECURE)\n"
        "print(type(cache._connections['default']).__name__, settings.ALLOWED_HOSTS)"
    )
    environment = environment_of("loupe.env.example", tmp_path) | {"DJANGO_SETTINGS_MODULE": "wiki.settings"}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "127.0.0.1 s3://loupe/measured True\nFileCache ['loupe.example.org']\n"


def test_a_worker_starts_with_the_variables_of_its_example(tmp_path: Path) -> None:
    code = "from analysis.worker import app, store; print(app.conf.broker_transport_options, store)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment_of("worker.env.example", tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{{'visibility_timeout': 60, 'unacked_restore_interval': 1}} {tmp_path}/store\n"


def test_workers_cannot_write_to_the_cache_which_the_site_unpickles() -> None:
    for variables in (variables_of("worker.env.example"), COMPOSE["services"]["worker"]["environment"]):
        assert "LOUPE_CACHE_URL" not in variables
    site = variables_of("loupe.env.example") | COMPOSE["services"]["site"]["environment"]
    assert site.get("LOUPE_CACHE_URL", "") != site["LOUPE_BROKER_URL"]


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("LOUPE_STORE", "http://loupe", "Reading LOUPE_STORE: expected s3://…, got “http://loupe”."),
        ("LOUPE_CACHE_URL", "memory", "Reading LOUPE_CACHE_URL: expected redis:// or rediss://…, got “memory”."),
        ("LOUPE_HTTPS", "on", "Reading LOUPE_HTTPS: expected yes or no, got “on”."),
    ],
)
def test_a_misspelt_value_stops_the_start(tmp_path: Path, variable: str, value: str, sentence: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", "import wiki.settings"],
        env=environment_of("loupe.env.example", tmp_path) | {variable: value},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].endswith(sentence)


@pytest.mark.django_db
def test_the_documents_way_to_pin_a_survey_pins_it() -> None:
    (snippet,) = re.findall(r'shell --command "\n(.*?)"\n', OPERATIONS, re.DOTALL)
    model = build_measured_model("tiny")
    other = model.pins.get(dataset="bundled-texts").survey
    code = snippet.replace("smollm2-135m-instruct-q4", "tiny").replace("HASH", other.hash)
    exec(code, {})  # noqa: S102 (the document's own words)
    assert model.pins.get(dataset="sotu").survey == other
