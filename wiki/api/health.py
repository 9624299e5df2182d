"""What a load balancer asks: does this site answer, and does its database?"""

from __future__ import annotations

import logging

from django.db import Error as DatabaseError
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """200 “ok”, or 503 where the database does not answer. Nothing of how the site is set up."""
    status, text = 200, "ok"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        logger.error("Answering /health/: the database does not answer (%s).", error)
        status, text = 503, "the database does not answer"
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain", headers={"Cache-Control": "no-store"})
