"""A worker's hold on a job, over signed HTTP calls to the site: claim, renew, finish, fail. No torch."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import httpx

from analysis.schema import JobKind
from analysis.signing import sign

# Failed connections are tried again so often, waiting up to 0.5 × 2ⁿ seconds: the site may be restarting.
CONNECT_RETRIES = 6


KEEP_SECONDS = 5.0


class LeaseLostError(Exception):
    """Another worker holds the job now, or it is over; what is left to do is nothing."""


class SiteError(Exception):
    """The site could not be reached or refused a call; the message is one sentence."""


class Site:
    """The site's calls for workers."""

    def __init__(self, url: str, *, secret: str) -> None:
        self._secret = secret
        self._http = httpx.Client(
            base_url=url, timeout=30, transport=httpx.HTTPTransport(retries=CONNECT_RETRIES), trust_env=False
        )

    def call(self, job_id: int, action: str, payload: dict[str, Any]) -> dict[str, Any] | None:
        """POST a signed call; None where the site answers that the caller does not hold the job."""
        body = sign({"job": job_id, **payload}, secret=self._secret, action=action)
        try:
            answer = self._http.post(f"/api/jobs/{job_id}/{action}/", content=body)
        except httpx.HTTPError as error:
            raise SiteError(
                f"Calling the site to {action} job {job_id}: {error} ({self._http.base_url} did not answer)."
            ) from error
        if answer.status_code == httpx.codes.CONFLICT:
            return None
        if answer.is_error:
            is_json = answer.headers.get("content-type", "").startswith("application/json")
            reason = answer.json().get("detail", "") if is_json else ""
            raise SiteError(f"Calling the site to {action} job {job_id}: it answered {answer.status_code}. {reason}")
        return dict(answer.json())


@dataclasses.dataclass(frozen=True)
class Lease:
    """A claimed job."""

    site: Site
    job_id: int
    token: str
    kind: JobKind
    spec: dict[str, Any]
    shard: int

    @classmethod
    def claim(cls, site: Site, job_id: int) -> Self | None:
        """Take the job, or None if there is nothing to take."""
        answer = site.call(job_id, "claim", {})
        if answer is None:
            return None
        return cls(site, job_id, answer["token"], JobKind(answer["kind"]), answer["spec"], answer["shard"])

    def renew(self, rows_done: int) -> None:
        """Say that the worker lives and how far it is: in rows of a survey, in hundredths of a scrub, in layers of
        anything else."""
        self._call("renew", {"rows_done": rows_done})

    @contextlib.contextmanager
    def kept(self) -> Iterator[Callable[[int], None]]:
        """While the block runs, renew every few seconds, however long a batch takes. What is yielded says at once how
        far the worker is, as `renew` does."""
        over, told, one_at_a_time = threading.Event(), [0], threading.Lock()

        def tell(rows_done: int) -> None:
            with one_at_a_time:
                told[0] = rows_done
                self.renew(rows_done)

        def renew() -> None:
            while not over.wait(KEEP_SECONDS):
                try:
                    with one_at_a_time:
                        self.renew(told[0])
                except (LeaseLostError, SiteError):
                    return  # the next batch or the end of the job will find out

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield tell
        finally:
            over.set()
            thread.join()

    def finish(self, result: dict[str, Any] | None = None) -> None:
        """Say that the artifact is in the store, and what the site must know of it."""
        self._call("finish", {"result": result or {}})

    def fail(self, error: str) -> None:
        """Say in one sentence why the job cannot be done."""
        self._call("fail", {"error": error})

    def _call(self, action: str, payload: dict[str, Any]) -> None:
        if self.site.call(self.job_id, action, {"token": self.token, **payload}) is None:
            raise LeaseLostError
