"""How much a person may write, by the age of the account; and that who is blocked writes nothing."""

from __future__ import annotations

import dataclasses
import math
import re
from datetime import timedelta

from django.utils import timezone

from wiki.accounts.access import has_role
from wiki.accounts.models import Role, User

from .access import said_to_blocked
from .errors import TextError, TooManyWrites, WriterBlocked
from .models import Revision

HOUR = timedelta(hours=1)
_ELSEWHERE = re.compile(r"https?://", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Allowance:
    """What an account may do that is younger than this."""

    age: timedelta
    words: str
    saves_an_hour: int
    links_a_save: int  # to other sites, that were not there before


# The first that fits. Reviewers, moderators and admins are not counted: somebody knows them.
ALLOWANCES = (
    Allowance(timedelta(days=1), "an account younger than a day", saves_an_hour=30, links_a_save=3),
    Allowance(timedelta(days=7), "an account younger than a week", saves_an_hour=60, links_a_save=10),
    Allowance(timedelta.max, "one person", saves_an_hour=300, links_a_save=100),
)


def require_not_blocked(author: User) -> None:
    if author.is_blocked:
        raise WriterBlocked(f"Saving: {said_to_blocked(author)}")


def require_room(author: User, *, before: str, after: str) -> None:
    """Refuse what is more than the author may save now; within the transaction that saves it.

    One person's saves wait here for each other, and for whoever is blocking that person.
    """
    author = User.objects.select_for_update(no_key=True).get(pk=author.pk)
    require_not_blocked(author)
    if has_role(author, Role.REVIEWER):
        return
    now = timezone.now()
    allowance = next(each for each in ALLOWANCES if now - author.date_joined < each.age)
    n_new = len(_ELSEWHERE.findall(after)) - len(_ELSEWHERE.findall(before))
    if n_new > allowance.links_a_save:
        raise TextError(
            f"Saving: expected at most {allowance.links_a_save} new links to other sites in one save by "
            f"{allowance.words}, got {n_new}."
        )
    saved = Revision.objects.filter(author=author, created_at__gt=now - HOUR).order_by("-created_at")
    # the one that has to be an hour old before there is room again
    oldest = next(
        iter(saved.values_list("created_at", flat=True)[allowance.saves_an_hour - 1 : allowance.saves_an_hour]), None
    )
    if oldest is not None:
        seconds = max(1, math.ceil((oldest + HOUR - now).total_seconds()))
        raise TooManyWrites(
            f"Saving: expected at most {allowance.saves_an_hour} saves an hour by {allowance.words}, got one more; "
            f"save again in {math.ceil(seconds / 60)} min.",
            seconds=seconds,
        )
