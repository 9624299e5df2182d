"""What measuring workers call: signed POSTs that claim, renew and end a job.

200 with JSON, 403 with a reason for a call that is not signed, 409 where the caller does not hold the job.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from analysis.signing import SigningError, unsign
from wiki.experiments import jobs
from wiki.experiments.consequences import finish_and_follow

Payload = dict[str, Any]


def _signed(handle: Callable[[int, Payload], Payload | None]) -> Callable[[HttpRequest, int], HttpResponse]:
    """A view that hands the payload of a call signed for this action and job to `handle`; None becomes 409."""

    # Calls are signed with a secret that no browser has, so CSRF protection has nothing to protect.
    @csrf_exempt
    @require_POST
    def view(request: HttpRequest, job_id: int) -> JsonResponse:
        try:
            payload = unsign(
                request.body.decode("ascii", "replace"), secret=settings.WORKER_SECRET, action=handle.__name__
            )
        except SigningError as error:
            return JsonResponse({"detail": str(error)}, status=403)
        if payload["job"] != job_id:
            detail = f"Reading a worker's call: expected one about job {job_id}, got job {payload['job']}."
            return JsonResponse({"detail": detail}, status=403)
        answer = handle(job_id, payload)
        if answer is None:
            return JsonResponse({"detail": "You do not hold this job."}, status=409)
        return JsonResponse(answer)

    return view


def _answer(held: bool) -> Payload | None:
    return {} if held else None


@_signed
def claim(job_id: int, payload: Payload) -> Payload | None:
    claimed = jobs.claim_job(job_id)
    if claimed is None:
        return None
    return {
        "token": claimed.token,
        "kind": claimed.kind.value,
        "spec": claimed.spec,
        "shard": claimed.shard,
    }


@_signed
def renew(job_id: int, payload: Payload) -> Payload | None:
    return _answer(jobs.renew_job(job_id, payload["token"], rows_done=payload["rows_done"]))


@_signed
def finish(job_id: int, payload: Payload) -> Payload | None:
    return _answer(finish_and_follow(job_id, payload["token"], result=payload.get("result", {})))


@_signed
def fail(job_id: int, payload: Payload) -> Payload | None:
    return _answer(jobs.fail_job(job_id, payload["token"], error=payload["error"]))
