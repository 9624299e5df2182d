"""The Celery app that carries job ids from the site to measuring workers, and the embedded broker. No torch.

The embedded broker is kombu's filesystem transport with a publish that is written aside, fsynced and renamed: the
stock one is seen half-written by readers, and an empty message ends a worker.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from time import time_ns
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import ChannelError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps

from analysis.schema import JobKind

TASK_NAME = "loupe.do_job"
SCHEME = "loupe-filesystem"


class Channel(filesystem.Channel):
    """A filesystem channel whose messages appear whole or not at all."""

    def _put(  # type: ignore[override]  # named as in kombu's own filesystem channel
        self, queue: str, payload: dict[str, Any], **kwargs: Any
    ) -> None:
        name = f"{time_ns():020d}_{uuid.uuid4()}.{queue}.msg"
        folder = Path(self.data_folder_out)
        # kombu takes everything after the first dot as the queue, so the name aside belongs to none
        aside = folder / f"{name}.aside"
        try:
            with aside.open("wb") as file:
                file.write(str_to_bytes(dumps(payload)))
                file.flush()
                os.fsync(file.fileno())
            aside.rename(folder / name)
        except OSError as error:
            raise ChannelError(f"Cannot add a message to the embedded broker in {folder}: {error}") from error


class Transport(filesystem.Transport):
    Channel = Channel


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def make_celery(broker_url: str) -> Celery:
    """A Celery app on `broker_url`: `loupe-filesystem:///folder` (embedded) or any URL kombu knows, as `redis://…`."""
    app = Celery("loupe", set_as_current=False)
    app.conf.update(
        broker_url=broker_url,
        broker_connection_retry_on_startup=True,
        task_ignore_result=True,
        # a queue for each kind of job, served in turn: a short merge does not wait behind hundreds of shards
        task_queues=[Queue(kind.value) for kind in JobKind],
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_log_format="%(message)s",
    )
    if broker_url.startswith(f"{SCHEME}:"):
        folder = Path(urlsplit(broker_url).path)
        queue, control = folder / "queue", folder / "control"
        for each in (queue, control):
            each.mkdir(parents=True, exist_ok=True)
        app.conf.broker_url = f"{SCHEME}://localhost"
        app.conf.broker_transport_options = {
            "data_folder_in": str(queue),
            "data_folder_out": str(queue),
            "control_folder": str(control),
            "polling_interval": 0.05,
        }
    return app
