from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from wiki.articles.seeding import SeedError, load_seeds, read_seeds


class Command(BaseCommand):
    help = "Make the texts that a new site opens with; what people changed stays."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            outcome = load_seeds(read_seeds())
        except SeedError as error:
            raise CommandError(str(error)) from error
        if options["verbosity"]:
            said = (("made", outcome.made), ("renewed", outcome.renewed), ("kept", outcome.kept))
            self.stdout.write(", ".join(f"{len(names)} {word}" for word, names in said) + ".")
            if outcome.waiting:
                self.stdout.write(f"Not made, because their model is not here: {', '.join(outcome.waiting)}.")
