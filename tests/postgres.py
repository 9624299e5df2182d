"""Run a command with LOUPE_DATABASE_URL set to a throw-away PostgreSQL: `python -m tests.postgres COMMAND…`."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_program(name: str) -> str:
    """A PostgreSQL program; Debian keeps the server's off the PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    found = shutil.which(name) or next(map(str, candidates), None)
    if found is None:
        sys.exit(f"Starting PostgreSQL for the tests: expected the program {name}, found none; install postgresql.")
    return found


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A cluster of its own on a free port of loopback; yields its URL and removes all of it at the end."""
    port = free_port()
    # initdb refuses root, so root hands the cluster to the unprivileged user that the package made
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    as_user = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="loupe-postgres-") as folder:
        if os.geteuid() == 0:
            shutil.chown(folder, user, user)
        cluster = str(Path(folder) / "cluster")
        quiet = {"stdout": subprocess.DEVNULL, "cwd": folder}
        subprocess.run(
            [*as_user, find_program("initdb"), "--username=loupe", "--auth=trust", "--no-sync", cluster],
            check=True,
            **quiet,
        )
        control = [*as_user, find_program("pg_ctl"), "--pgdata", cluster, "--wait"]
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        subprocess.run([*control, "--log", f"{cluster}.log", "--options", options, "start"], check=True, **quiet)
        try:
            yield f"postgres://loupe@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "--mode=immediate", "stop"], check=True, **quiet)


if __name__ == "__main__":
    with postgres() as url:
        code = subprocess.run(sys.argv[1:], env={**os.environ, "LOUPE_DATABASE_URL": url}, check=False).returncode
    sys.exit(code)
