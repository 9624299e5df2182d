"""Measuring from a shell.

`python -m analysis prepare MODEL` fetches and verifies the model, tokenises the datasets and prints what there is.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from analysis.anatomy import AnatomyError
from analysis.datasets.table import DATASETS, prepare_dataset
from analysis.models import ModelError, prepare_model
from analysis.store import StoreError, open_store


def prepare(store: Path, slug: str) -> None:
    """Print the model's card and its datasets' as JSON; progress goes to stderr."""
    model = prepare_model(store, slug)
    datasets = {}
    for name in DATASETS:
        datasets[name] = prepare_dataset(store, model, name).meta
    json.dump({"model": model.meta, "datasets": datasets}, sys.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis", description="Measure models.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="fetch and verify a model, tokenise the datasets").add_argument("model")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        store = open_store(Path(os.environ["LOUPE_DATA"]), os.environ.get("LOUPE_STORE", ""), patient=True)
        prepare(store, arguments.model)
    except (AnatomyError, ModelError, StoreError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
