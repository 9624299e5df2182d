"""What a notebook asks of a Loupe site: fetch an experiment, upload a run of it.

    client = Client("https://loupe.example", key="loupe_…")  # a key of your settings page
    experiment = client.experiment("1a2b3c4d")  # or the whole hash
    run = scrub(experiment, store)
    client.upload(run).url

The site marks what is uploaded until it has run the experiment itself, and then says whether the two agree.
"""

from __future__ import annotations

import dataclasses
import json
from types import TracebackType
from typing import Any, Self

import httpx

from analysis.scrubbing.experiment import Experiment
from analysis.scrubbing.run import Run

SECONDS = 30.0


class ClientError(Exception):
    """The site cannot be reached, or refuses; the message is one sentence, the site's own where it gave one."""


@dataclasses.dataclass(frozen=True)
class Uploaded:
    """Where an uploaded run is."""

    url: str
    run: int
    experiment: str  # hash
    is_new: bool  # False: the very same was uploaded before


class Client:
    """A site, and the access key by which it knows who asks."""

    def __init__(self, address: str, *, key: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=address, headers=headers, timeout=SECONDS, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def experiment(self, name: str) -> Experiment:
        """The experiment of this hash, or of its first digits, with or without `x:`. Raises ClientError."""
        digits = name.removeprefix("x:")
        page = self._send("GET", f"/x/{digits}/") if len(digits) < 64 else None
        whole = page.url.path.strip("/").removeprefix("x/") if page else digits
        data = _json(self._send("GET", f"/x/{whole}.json"))
        return Experiment.from_json({**data["spec"], **({"title": data["title"]} if data["title"] else {})})

    def upload(self, run: Run, *, of: Experiment | None = None) -> Uploaded:
        """Send a run's figures, its worst inputs and what was searched; samples stay here. `of` is the experiment that
        it is one more run of, where its draws have another seed. Raises ClientError."""
        experiment = of or run.experiment
        sent = {
            "experiment": experiment.to_json(),
            "seed": run.experiment.hypothesis.seed,
            "result": run.result.to_json(),
            "worst": run.worst,
            "searched": run.searched.to_json(),
            "about": run.about,
        }
        body = json.dumps(sent, ensure_ascii=False, allow_nan=False).encode()
        answer = self._send("POST", "/api/runs/", content=body, headers={"Content-Type": "application/json"})
        return Uploaded(**_json(answer), is_new=answer.status_code == httpx.codes.CREATED)

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **more)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ClientError(f"Asking {self._http.base_url}: expected an answer, got {error}.") from error
        if answer.is_error:
            raise ClientError(_sentence(answer))
        return answer


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError as error:
        raise ClientError(f"Asking {answer.url}: expected data, got something else.") from error


def _sentence(answer: httpx.Response) -> str:
    """What the site says is wrong, or its status alone."""
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"Asking {answer.url}: expected an answer, got {answer.status_code} {answer.reason_phrase}."
