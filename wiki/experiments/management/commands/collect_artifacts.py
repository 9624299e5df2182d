from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from wiki.experiments.collecting import CollectError, collect_leftovers


class Command(BaseCommand):
    help = "Remove from the store what nothing names: a line for each, with its size. Models and named surveys stay."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")

    def handle(self, *args: Any, **options: Any) -> None:
        doing = "would remove" if options["dry_run"] else "removed"
        n, megabytes = 0, 0.0
        try:
            for leftover in collect_leftovers(dry_run=options["dry_run"]):
                self.stdout.write(f"{doing} {leftover.megabytes:.1f} MB: {leftover.name} ({leftover.reason})")
                n, megabytes = n + 1, megabytes + leftover.megabytes
        except DatabaseError as error:
            raise CommandError(f"Sweeping the store: the database does not answer ({error}).") from error
        except CollectError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{doing} {n} in all, {megabytes:.1f} MB")
