from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from wiki.texts.archives import ArchiveError
from wiki.texts.exporting import export_wiki


class Command(BaseCommand):
    help = "Write all texts with their revisions, and who wrote them, into an archive."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path, help="a new folder, or a new file that ends in .zip")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            digest = export_wiki(options["path"])
        except (ArchiveError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Exported to {options['path']}; the sha256 of its manifest.json is {digest}.")
