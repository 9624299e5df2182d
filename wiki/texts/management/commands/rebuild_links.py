from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from wiki.texts.links import rebuild_links


class Command(BaseCommand):
    help = "Make the links of all pages anew from their current revisions."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Links of {rebuild_links()} pages were made anew.")
