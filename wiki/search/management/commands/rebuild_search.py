from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from wiki.search.indexing import rebuild_search


class Command(BaseCommand):
    help = "Make the words by which pages are found anew from their current revisions and titles."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Made the words of {rebuild_search()} pages anew.")
