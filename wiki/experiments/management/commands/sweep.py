from __future__ import annotations

import logging
import math
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import close_old_connections

from wiki.experiments.adopting import adopt_surveys
from wiki.experiments.jobs import advance_surveys
from wiki.experiments.results import StoreError

logger = logging.getLogger(__name__)

# The store is asked for surveys made from a shell so often: an object store counts and charges its listings.
ADOPT_SECONDS = 15.0


class Command(BaseCommand):
    help = (
        "Send again the jobs whose worker or message is lost, queue the merges that are due, and register surveys that "
        "were measured from a shell."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every", type=float, metavar="SECONDS", help="go on for ever, so often")

    def handle(self, *args: Any, **options: Any) -> None:
        adopted_at = -math.inf
        while True:
            try:
                close_old_connections()  # one that broke is not used again
                advance_surveys()
                if time.monotonic() - adopted_at >= ADOPT_SECONDS:
                    adopted_at = time.monotonic()
                    adopt_surveys()
            except DatabaseError as error:
                # a full disk or a database that restarts: nothing is lost by sweeping later
                if not options["every"]:
                    raise
                logger.error("Sweeping: the database does not answer (%s); trying again.", error)
            except StoreError as error:
                logger.error("Looking for surveys made from a shell: %s", error)
            if not options["every"]:
                return
            time.sleep(options["every"])
