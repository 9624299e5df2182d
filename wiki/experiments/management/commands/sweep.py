from __future__ import annotations

import logging
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import close_old_connections

from wiki.experiments.jobs import advance_surveys

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Send again the jobs whose worker or message is lost, and queue the merges that are due."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every", type=float, metavar="SECONDS", help="go on for ever, so often")

    def handle(self, *args: Any, **options: Any) -> None:
        while True:
            try:
                close_old_connections()  # one that broke is not used again
                advance_surveys()
            except DatabaseError as error:
                # a full disk or a database that restarts: nothing is lost by sweeping later
                if not options["every"]:
                    raise
                logger.error("Sweeping: the database does not answer (%s); trying again.", error)
            if not options["every"]:
                return
            time.sleep(options["every"])
