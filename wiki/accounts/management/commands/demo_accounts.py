from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from wiki.accounts.demo import password_of, prepare_demo_accounts
from wiki.accounts.models import Role


class Command(BaseCommand):
    help = "Make accounts to try the site out with, and print their passwords."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("Making demo accounts: expected LOUPE_DEMO=1, got 0.")
        print("\nTo try it out, sign in at /accounts/login/ as")
        for person in prepare_demo_accounts():
            print(f"  {person.username:<10} {password_of(person.username)}  ({Role(person.role).label})")
