"""Peak memory of a shard's survey against that of the bare forward pass, each in a fresh process."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from analysis.anatomy import body_of
from analysis.store import publish, write_arrays
from analysis.survey import measure_rows

from .data import MODELS, load, natural_rows, real_store, survey_spec
from .report import Figure

ABOUT = (
    "The largest resident set (`ru_maxrss`) of a fresh process that surveys a whole shard of 256 rows, calibration and "
    "the writing of its partial included, against that of one that only runs the body over the same batches."
)
ROWS = 256


def measure() -> list[Figure]:
    figures = []
    for title, name in MODELS.items():
        bare, survey = (_peak(name, what) for what in ("bare", "survey"))
        note = f"{survey:,.0f} MB ÷ {bare:,.0f} MB, of which {_peak(name, 'load'):,.0f} MB after loading the model"
        figures.append(
            Figure(f"{title}: survey ÷ bare forward, peak memory", survey / bare, "×", at_most=1.3, note=note)
        )
    return figures


def _peak(name: str, what: str) -> float:
    """Megabytes."""
    command = [sys.executable, "-m", __name__, name, what]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _run(name: str, what: str) -> None:
    store = real_store()
    spec = survey_spec(store, rows=ROWS)
    model, rows = load(store, name, spec), natural_rows(store, spec)
    if what == "bare":
        for batch in rows.batches(spec.shard(0), size=spec.batch_rows):
            tokens = torch.from_numpy(np.stack([rows[row] for row in batch]).astype(np.int64))
            with torch.inference_mode():
                body_of(model)(input_ids=tokens, use_cache=False)
    elif what == "survey":
        shard = measure_rows(model, rows, spec, spec.shard(0), on_batch=lambda _: None)
        with tempfile.TemporaryDirectory() as folder, publish(Path(folder) / "partial", meta={}) as partial:
            for file, arrays in shard.files().items():
                write_arrays(partial, arrays, file=file)


if __name__ == "__main__":
    _run(*sys.argv[1:])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
