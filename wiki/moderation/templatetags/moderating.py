"""For `moderation/_actions.html`, and how many reports wait, for the header of moderators."""

from typing import Any

from django import template

from wiki.texts.access import may_moderate

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
    n = reports_visible_to(request.user).exclude(state=Report.State.RESOLVED)[: MAX_COUNTED + 1].count()
    return "" if not n else str(n) if n <= MAX_COUNTED else f"{MAX_COUNTED}+"
