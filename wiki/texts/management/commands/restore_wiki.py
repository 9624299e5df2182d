from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from wiki.texts.archives import ArchiveError
from wiki.texts.restoring import restore_wiki


class Command(BaseCommand):
    help = "Make a site without people and texts what an archive of export_wiki says."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="the folder or zip file that export_wiki wrote")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            done = restore_wiki(options["path"])
        except (ArchiveError, OSError) as error:
            raise CommandError(str(error)) from error
        for command in ("rebuild_search", "rebuild_coverage"):  # of apps above this one
            call_command(command, verbosity=0, stdout=StringIO())
        self.stdout.write(
            f"Restored {done.n_people} people, {done.n_pages} texts and {done.n_revisions} revisions. People choose a "
            f"new password by e-mail, or are given one with manage.py changepassword."
        )
