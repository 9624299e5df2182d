"""Where and on what a benchmark ran."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def machine() -> dict[str, Any]:
    """The processor, the cores that this process may use, and the versions that matter."""
    import torch  # noqa: PLC0415 (the script for another tool has its own)

    return {
        "CPU": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "torch threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "load at the start": round(os.getloadavg()[0], 1),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def today() -> str:
    return datetime.datetime.now(tz=datetime.UTC).date().isoformat()


def commit() -> str:
    """The commit that is checked out; `+` where the code differs from it."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    # what a benchmark itself writes is no other code
    changed = git("status", "--porcelain", "--", ":!docs", ":!tests/benchmarks/peers/*.json")
    return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed.strip() else "")
