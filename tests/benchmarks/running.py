"""Run all benchmarks, or those that are named, and write what they found; 1 where a limit is missed."""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib
import multiprocessing
import sys
from collections.abc import Iterable

from analysis.commands import SAID_CLEARLY

from .machine import commit, machine, today
from .report import BenchmarkError, Figure, Outcome, write_outcomes

# Module of this package with `ABOUT` and `measure() -> list[Figure]`, in the order in which they run.
BENCHMARKS = ["survey", "memory", "store", "scrubbing", "pages", "load", "wiki", "gpu"]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all if none")
    names = parser.parse_args(arguments).names or BENCHMARKS
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"expected one of {', '.join(BENCHMARKS)}, got {name}")
    outcomes, stopped = [], 0
    for name in names:
        print(name, flush=True)
        try:
            outcomes.append(run(name))
        except (BenchmarkError, *SAID_CLEARLY) as error:
            print(f"  {error}", file=sys.stderr)
            stopped += 1
        else:
            print(*outcomes[-1].figures, sep="\n", flush=True)
            write_outcomes(outcomes[-1:], order=BENCHMARKS)
    return exit_status(outcomes, stopped=stopped)


def run(name: str) -> Outcome:
    """One benchmark, in a process of its own: what it imports and sets is gone with it."""
    about = importlib.import_module(f".{name}", __package__).ABOUT
    where = {"commit": commit(), "date": today(), "machine": machine()}
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        figures = pool.submit(_measure, name).result()
    return Outcome(name, about, figures=tuple(figures), **where)


def _measure(name: str) -> list[Figure]:
    figures: list[Figure] = importlib.import_module(f".{name}", __package__).measure()
    return figures


def exit_status(outcomes: Iterable[Outcome], *, stopped: int) -> int:
    """Say what was missed; 0 only if nothing was and every benchmark ran."""
    missed = [(outcome.benchmark, figure) for outcome in outcomes for figure in outcome.missed]
    for name, figure in missed:
        print(f"missed: {name}, {str(figure).strip()}", file=sys.stderr)
    return 1 if missed or stopped else 0
