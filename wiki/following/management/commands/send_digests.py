from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from wiki.following.digests import send_digests


class Command(BaseCommand):
    help = "Send the e-mail digests that are due; `sweep --every` does it once a minute."

    def handle(self, *args: Any, **options: Any) -> None:
        sent = send_digests()
        if sent or options["verbosity"] > 1:
            self.stdout.write(f"{sent} digest{'s were' if sent != 1 else ' was'} sent.")
