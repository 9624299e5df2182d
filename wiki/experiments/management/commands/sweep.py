from __future__ import annotations

import logging
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError
from django.db import close_old_connections

from wiki.experiments.jobs import advance_surveys

logger = logging.getLogger(__name__)

# How often e-mails are looked for that are due.
DIGEST_SECONDS = 60


class Command(BaseCommand):
    help = "Send again the jobs whose worker or message is lost, and queue the merges that are due."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every", type=float, metavar="SECONDS", help="go on for ever, so often")

    def handle(self, *args: Any, **options: Any) -> None:
        digests_at = time.monotonic()
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
            if time.monotonic() >= digests_at:
                send_digests()
                digests_at = time.monotonic() + DIGEST_SECONDS
            time.sleep(options["every"])


def send_digests() -> None:
    """Send what is due by a command of an app above this one; whatever it fails at, sweeping goes on."""
    try:
        call_command("send_digests")
    except Exception:
        logger.exception("Sending digests: it failed; trying again later.")
