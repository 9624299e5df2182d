"""Measuring from a shell, with or without a site.

`models` lists the models of the store, `models add NAME` adds one of the hub or of a folder; `survey MODEL DATASET`
measures; `show MODEL COMPONENT` prints what surveys say of a component; `train ORGANISM --out FOLDER` trains anew one
of the models that Loupe trained itself; `scrub FILE` runs the experiment of a file; `replicate` runs the
replications of published results anew. `prepare MODEL` is for the site's start.
The data folder is LOUPE_DATA, else `.loupe` beside this package, as `make run` has it.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m analysis", description="Measure models.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare", help="fetch and verify a model, tokenise the datasets").add_argument("model")

    models = commands.add_parser("models", help="list the models of the store, or add one")
    add = models.add_subparsers(dest="action").add_parser("add", help="add a model of the hub or of a folder")
    add.add_argument("name", help="name on the hub (EleutherAI/pythia-70m), or a folder (./my-model)")
    add.add_argument("--revision", help="commit, branch or tag of the hub (the main branch)")
    add.add_argument("--slug", help="what it is called here (the last part of its name)")

    measure = commands.add_parser("survey", help="measure a model on a dataset; goes on where it was stopped")
    measure.add_argument("model")
    measure.add_argument("dataset", help="repeated-random, bundled-texts or sotu")
    measure.add_argument("--rows", type=int, metavar="N", help="read the first so many rows (as planned for its pages)")
    measure.add_argument("--pattern-rows", type=int, metavar="N", help="keep the patterns of the first so many")
    measure.add_argument("--shard-rows", type=int, metavar="N", help="what is finished is kept every so many")

    learn = commands.add_parser("train", help="train an organism anew; goes on where it was stopped")
    learn.add_argument("organism", help="attn-only-2l or paren-balance")
    learn.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for its checkpoint and its files")

    ask = commands.add_parser("scrub", help="run the experiment of a file (YAML or JSON), print and keep its figures")
    ask.add_argument("file", help="as docs/experiment.schema.json has it")

    commands.add_parser("replicate", help="run the replications of published results anew, and record them")

    look = commands.add_parser("show", help="print what surveys say of a component")
    look.add_argument("model")
    look.add_argument("component", help="L5H1, 5.1, a5.h1, …")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    data = Path(os.environ.get("LOUPE_DATA") or Path(__file__).resolve().parent.parent / ".loupe")
    try:
        # torch takes seconds to import: not for --help, and Ctrl-C meanwhile is answered too
        from analysis.commands import run  # noqa: PLC0415
        from analysis.store import StoreError, open_store  # noqa: PLC0415

        try:
            store = open_store(data.resolve(), os.environ.get("LOUPE_STORE", ""), patient=True)
        except StoreError as error:
            print(error, file=sys.stderr)
            return 1
        return run(arguments, store)
    except KeyboardInterrupt:
        print("\nStopped; what was finished is kept, and the same command goes on from there.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
