"""`make run`: everything on this machine under one supervisor, with embedded defaults.

Reads PORT (8000) and LOUPE_DATA (.loupe). Prepares what is missing, then runs the site, a measuring worker and the
sweeper until Ctrl-C, which ends all three. `make operator` makes an account on the same data folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from honcho.manager import Manager

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
NAME = "localhost"  # of the same; browsers allow passkeys at names alone
# The two that Loupe trained itself come with it and are measured in seconds, before the one that is fetched.
MODELS = ("paren-balance", "attn-only-2l", "smollm2-135m-instruct-q4")
SITE_PROCESSES = 2
SWEEP_SECONDS = 5
# Whoever sets one of these runs a site for others.
NOT_A_DEMO = ("LOUPE_HOSTS", "LOUPE_HTTPS", "LOUPE_DATABASE_URL")
# For the database and its journal to work at all; what needs more says so itself.
NEEDED_MEGABYTES = 50


class LaunchError(Exception):
    """Loupe cannot start; the message is one sentence."""


def main(arguments: list[str]) -> int:
    if arguments == ["operator"]:
        return make_operator()
    try:
        environment = prepare_environment()
        lock_data_folder(Path(environment["LOUPE_DATA"]))
        prepare_site(environment)
    except LaunchError as error:
        print(f"Loupe did not start. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped before the start was complete; what was finished is kept.", file=sys.stderr)
        return 130
    return supervise(environment)


def prepare_environment() -> dict[str, str]:
    """The environment of all three processes: the caller's, with what it does not set."""
    return embedded_environment(free_port(os.environ.get("PORT", "8000")))


def make_operator() -> int:
    """Ask for the name and password of a new operator of the data folder, whether or not Loupe is running on it."""
    try:
        environment = embedded_environment(port=0)
        run_manage(["migrate", "--verbosity=0"], environment, doing="setting up the database")
        run_manage(["createsuperuser"], environment, doing="asking for name and password")
    except LaunchError as error:
        print(f"No operator was made. {error}", file=sys.stderr)
        return 1
    return 0


def embedded_environment(port: int) -> dict[str, str]:
    """The caller's environment and, where it does not set them, the data folder with its secrets and messages."""
    data = Path(os.environ.get("LOUPE_DATA") or ROOT / ".loupe").resolve()
    if data.exists() and not data.is_dir():
        raise LaunchError(f"Using {data} as data folder: expected a folder, got a file.")
    with explained(f"Using {data} as data folder"):
        data.mkdir(parents=True, exist_ok=True)
        own_secrets = stored_secrets(data / "secrets.json")
    free = shutil.disk_usage(data).free // 1_000_000
    if free < NEEDED_MEGABYTES:
        raise LaunchError(f"Using {data} as data folder: expected {NEEDED_MEGABYTES} MB of free disk, got {free} MB.")
    defaults = {
        "LOUPE_BROKER_URL": f"loupe-filesystem://{quote(str(data / 'broker'))}",
        "LOUPE_SITE_URL": f"http://{HOST}:{port}",
        "PYTHONUNBUFFERED": "1",
        **own_secrets,
    }
    if not any(os.environ.get(name) for name in NOT_A_DEMO):
        defaults["LOUPE_DEMO"] = "1"
    given = {name: value for name, value in os.environ.items() if value}  # a variable that is empty is not set
    return defaults | given | {"PORT": str(port), "LOUPE_DATA": str(data)}


def lock_data_folder(data: Path) -> None:
    """Hold the data folder until this process ends: two Loupes on one folder would measure everything twice."""
    descriptor = os.open(data / "running.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise LaunchError(
            f"Using {data} as data folder: another Loupe is running on it; end that one first."
        ) from error


def free_port(text: str) -> int:
    """The port that was asked for, if nobody listens on it."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise LaunchError(f"Reading PORT: expected a number from 1 to 65535, got “{text}”.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, int(text)))
        except OSError as error:
            raise LaunchError(
                f"Listening on {HOST}:{text}: expected a free port, got “{error.strerror}”; "
                f"choose another, for instance PORT={int(text) % 65535 + 1} make run."
            ) from error
    return int(text)


def stored_secrets(path: Path) -> dict[str, str]:
    """This installation's secrets, made at the first start and readable by its owner alone."""
    if not path.exists():
        values = {name: secrets.token_urlsafe(48) for name in ("LOUPE_SECRET_KEY", "LOUPE_WORKER_SECRET")}
        aside = path.with_suffix(".new")
        aside.touch(mode=0o600)
        aside.write_text(json.dumps(values))
        aside.rename(path)
    return dict(json.loads(path.read_text()))


def prepare_site(environment: dict[str, str]) -> None:
    """Database, static files, model and first surveys; each step says its own sentence if it fails."""
    for doing, arguments in (
        ("setting up the database", ["migrate", "--verbosity=0"]),
        ("collecting static files", ["collectstatic", "--no-input", "--verbosity=0"]),
        *((f"preparing {model} and its first surveys", ["first_surveys", model]) for model in MODELS),
        ("putting the first texts in place", ["load_seeds", "--verbosity=0"]),
    ):
        print(f"Loupe: {doing}", flush=True)
        run_manage(arguments, environment, doing=doing)
    if environment.get("LOUPE_DEMO") in ("1", "yes"):
        run_manage(["demo_accounts"], environment, doing="making demo accounts")


def run_manage(arguments: list[str], environment: dict[str, str], *, doing: str) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    if subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode != 0:
        raise LaunchError(f"It stopped while {doing}; the reason is above.")


def supervise(environment: dict[str, str]) -> int:
    """Run site, worker and sweeper until one of them ends or the supervisor is told to stop."""
    python = shlex.quote(sys.executable)
    site = (
        f"{python} -m gunicorn wiki.wsgi --bind {HOST}:{environment['PORT']} --workers {SITE_PROCESSES} "
        "--log-level warning"
    )
    worker = f"{python} -m celery --quiet --app analysis.worker worker --pool solo --loglevel WARNING"
    # A worker that was killed is started again: its job goes on from the last shard.
    kept_alive = f"while true; do {worker}; echo 'the measuring worker ended; starting it again'; sleep 1; done"
    sweeper = f"{python} manage.py sweep --every {SWEEP_SECONDS}"
    manager = Manager()
    for name, command in (("site", site), ("worker", kept_alive), ("sweeper", sweeper)):
        manager.add_process(name, command, env=environment, cwd=str(ROOT))
    print(f"\nLoupe is at http://{NAME}:{environment['PORT']}/  (Ctrl-C ends it)\n", flush=True)
    # honcho ends its processes at Ctrl-C and at SIGTERM; a terminal that is closed must do the same
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    manager.loop()
    return 0 if manager.returncode in (130, 143) else int(manager.returncode or 0)


@contextlib.contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn the operating system's refusal into one sentence."""
    try:
        yield
    except OSError as error:
        raise LaunchError(f"{doing}: {error.strerror or error}.") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
