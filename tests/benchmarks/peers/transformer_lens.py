"""Measure TransformerLens on the statistics of a survey, in virtual environments that are made for it and removed.

`python -m tests.benchmarks.peers.transformer_lens` records `transformer_lens.json`. The environments cannot run in turn
with ours, so each measures the bare forward pass of transformers too, of the same version: times are compared by that.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from analysis.statistics.batch import frequent_tokens

from ..data import natural_rows, real_store, survey_spec
from ..machine import ROOT, commit, machine, today
from .recorded import TRANSFORMER_LENS

# The last release with `HookedTransformer`, its fastest way; and the way that releases since then have.
VERSIONS = {"3.9.0": "HookedTransformer, run_with_cache", "4.3.0": "TransformerBridge, run_with_cache"}
ROWS = 160


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="loupe-peer-") as folder:
        rows = Path(folder) / "rows.npz"
        _export_rows(rows)
        found = [_measure(Path(folder) / version, version, rows) for version in VERSIONS]
    TRANSFORMER_LENS.write_text(json.dumps(found, indent=1) + "\n")
    print(TRANSFORMER_LENS.read_text())


def _export_rows(path: Path) -> None:
    store = real_store()
    spec = survey_spec(store, rows=ROWS)
    rows = natural_rows(store, spec)
    tokens = np.stack([rows[row] for row in range(ROWS)])
    np.savez(path, tokens=tokens, frequent=frequent_tokens(rows, ROWS)[0])


def _measure(folder: Path, version: str, rows: Path) -> dict[str, Any]:
    """What one release does on these rows."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pins = [
        line
        for line in (ROOT / "requirements.txt").read_text().split()
        if line.startswith(("torch==", "transformers=="))
    ]
    subprocess.run([*install, *pins], check=True)
    subprocess.run([*install, *pins, f"transformer-lens=={version}"], check=True)
    # -P: this folder has a module of the same name
    script = Path(__file__).with_name("lens_statistics.py")
    output = subprocess.run([python, "-P", script, rows], check=True, stdout=subprocess.PIPE, text=True).stdout
    newest = list(VERSIONS)[-1]
    about = {"version": version, "way": VERSIONS[version], "current": version == newest}
    return about | json.loads(output.splitlines()[-1]) | {"commit": commit(), "date": today(), "machine": machine()}


if __name__ == "__main__":
    main()
