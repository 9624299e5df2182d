"""What measuring workers call: signed POSTs that claim, renew and end a job.

200 with JSON, 403 for a call that is not signed, 409 where the caller does not hold the job.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from analysis.signing import SigningError, unsign
from wiki.experiments import jobs


def _payload(request: HttpRequest, job_id: int, *, action: str) -> dict[str, Any]:
    """The signed payload of a call about this very job; anything else is refused."""
    try:
        text = request.body.decode("ascii")
        payload = unsign(text, secret=settings.WORKER_SECRET, action=action)
    except (SigningError, UnicodeDecodeError) as error:
        raise PermissionDenied(str(error)) from error
    if payload["job"] != job_id:
        raise PermissionDenied(f"Reading a worker's call: expected one about job {job_id}, got job {payload['job']}.")
    return payload


def _answer(held: bool) -> JsonResponse:
    return JsonResponse({}) if held else JsonResponse({"detail": "You do not hold this job."}, status=409)


# Calls are signed with a secret that no browser has, so CSRF protection has nothing to protect.
@csrf_exempt
@require_POST
def claim(request: HttpRequest, job_id: int) -> JsonResponse:
    _payload(request, job_id, action="claim")
    claimed = jobs.claim_job(job_id)
    if claimed is None:
        return _answer(False)
    return JsonResponse(
        {
            "token": claimed.token,
            "kind": claimed.kind.value,
            "spec": claimed.spec.to_json(),
            "shard": claimed.shard,
        }
    )


@csrf_exempt
@require_POST
def renew(request: HttpRequest, job_id: int) -> JsonResponse:
    payload = _payload(request, job_id, action="renew")
    return _answer(jobs.renew_job(job_id, payload["token"], rows_done=payload["rows_done"]))


@csrf_exempt
@require_POST
def finish(request: HttpRequest, job_id: int) -> JsonResponse:
    payload = _payload(request, job_id, action="finish")
    return _answer(jobs.finish_job(job_id, payload["token"]))


@csrf_exempt
@require_POST
def fail(request: HttpRequest, job_id: int) -> JsonResponse:
    payload = _payload(request, job_id, action="fail")
    return _answer(jobs.fail_job(job_id, payload["token"], error=payload["error"]))
