"""For `moderation/_actions.html`, and how many reports wait, for the header of moderators."""

from typing import Any

from django import template
from django.db.models import QuerySet

from wiki.lib.prepared import rows
from wiki.texts.access import may_moderate, person_of, sight_of

from ..access import reports_visible_to
from ..models import Report

register = template.Library()
register.filter("may_moderate", may_moderate)

MAX_COUNTED = 99


@register.simple_tag(takes_context=True)
def count_waiting_reports(context: Any) -> str:
    """How many reports nobody has answered, as the header shows it; empty: none, or not for who asks."""
    request = context.get("request")
    if request is None or not may_moderate(request.user):
        return ""
    n = len(rows(_waiting, *sight_of(request.user)))
    return "" if not n else str(n) if n <= MAX_COUNTED else f"{MAX_COUNTED}+"


def _waiting(moderates: bool | None, key: int) -> QuerySet[Report, tuple[int]]:
    waiting = reports_visible_to(person_of(moderates, key)).exclude(state=Report.State.RESOLVED)
    return waiting.order_by().values_list("pk")[: MAX_COUNTED + 1]
