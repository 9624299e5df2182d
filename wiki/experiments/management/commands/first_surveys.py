from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from wiki.experiments.first_surveys import ask_for_first_surveys


class Command(BaseCommand):
    help = "Fetch a model if need be, register it, and queue the surveys that its pages start with."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="slug of a bundled model")

    def handle(self, *args: Any, **options: Any) -> None:
        # torch stays in the child process; its progress and its one sentence of error go to the terminal
        command = [sys.executable, "-m", "analysis", "prepare", options["model"]]
        child = subprocess.run(command, stdout=subprocess.PIPE, cwd=settings.BASE_DIR, check=False)
        if child.returncode != 0:
            raise SystemExit(child.returncode)
        try:
            surveys = ask_for_first_surveys(json.loads(child.stdout))
        except ValueError as error:
            raise CommandError(str(error)) from error
        waiting = [survey.dataset for survey in surveys if survey.finished_at is None]
        self.stdout.write(f"{options['model']}: {', '.join(waiting)} to measure" if waiting else "all is measured")
