"""`POST /api/runs/`: a notebook uploads a run of an experiment, with an access key.

201 with where it is, 200 for the same run once more; 401 without a key that opens, 403 for who may not experiment, 413
for more than MOST_BYTES, 422 for what is no run of a legal experiment, 429 for too many; each with one sentence.
"""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from wiki.accounts.access_keys import AccessKeyError, sender_of
from wiki.accounts.models import User
from wiki.experiments.access import require_may_experiment
from wiki.experiments.uploading import UploadError, upload_run
from wiki.texts.throttling import seconds_to_wait

DOING = "Uploading a run"
MOST_BYTES = 2_000_000
MOST_A_MINUTE = 30


class _Refused(Exception):  # noqa: N818 (an answer, not a fault)
    """What is answered instead; the message is one sentence."""

    def __init__(self, sentence: str, *, status: int, **headers: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


# An access key is sent by no browser by itself, so CSRF protection has nothing to protect; sessions are not read.
@csrf_exempt
@require_POST
def runs(request: HttpRequest) -> JsonResponse:
    try:
        user = _sender(request)
        run, is_new = upload_run(_body(request), user=user)
    except _Refused as refused:
        return JsonResponse({"error": str(refused)}, status=refused.status, headers=refused.headers)
    except UploadError as error:
        return JsonResponse({"error": str(error)}, status=422)
    url = request.build_absolute_uri(f"{run.experiment.get_absolute_url()}?run={run.pk}")
    answer = {"run": run.pk, "experiment": run.experiment_id, "url": url}
    return JsonResponse(answer, status=201 if is_new else 200)


def _sender(request: HttpRequest) -> User:
    """Whoever made the key that was sent, if they may experiment and have not done so too often."""
    try:
        user = require_may_experiment(sender_of(request), doing=DOING)
    except AccessKeyError as error:
        raise _Refused(str(error), status=401, WWW_Authenticate="Bearer") from error
    except PermissionDenied as error:
        raise _Refused(str(error), status=403) from error
    if wait := seconds_to_wait(user, "upload", at_most=MOST_A_MINUTE):
        sentence = f"{DOING}: expected at most {MOST_A_MINUTE} a minute, got one more; wait {wait} seconds."
        raise _Refused(sentence, status=429, Retry_After=str(wait))
    return user


def _body(request: HttpRequest) -> bytes:
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > MOST_BYTES:
        raise _Refused(f"{DOING}: expected at most {MOST_BYTES:,} bytes, got {length:,}.", status=413)
    return request.body
