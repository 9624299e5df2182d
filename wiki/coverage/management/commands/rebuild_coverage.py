from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from wiki.coverage.counting import rebuild_coverage


class Command(BaseCommand):
    help = "Count anew what is written about every part of every model. Run it while nobody writes."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Counted what is written about {rebuild_coverage()} parts.")
