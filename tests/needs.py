"""The programs that tests drive, besides Python packages: installed here if we may, else named in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# Debian's package for each program.
PACKAGES = {"chromium": "chromium", "redis-server": "redis-server", "initdb": "postgresql"}


def missing() -> list[str]:
    """The packages whose programs are not there."""
    return [
        package
        for program, package in PACKAGES.items()
        if not shutil.which(program) and not list(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    ]


def main() -> int:
    packages = missing()
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Loupe: installing {', '.join(packages)} for the tests", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", "-qq", *arguments], env=environment, check=False, stdout=subprocess.DEVNULL)
        packages = missing()
    if packages:
        print(
            f"The tests need the system packages {', '.join(packages)}: install them and run this again.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
