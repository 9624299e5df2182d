"""The Celery app that carries job ids from the site to measuring workers, and the embedded broker. No torch.

The embedded broker is kombu's filesystem transport, but its messages and tables appear by a rename, and its messages
are taken by one, inside its own folder. Of the stock one both are seen half-written by readers, and messages pass
through the system's temporary folder, where a full disk or another file system loses or doubles them.
"""

from __future__ import annotations

import fcntl
import logging
import os
import ssl
import uuid
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any
from urllib.parse import unquote, urlsplit

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import ChannelError, KombuError
from kombu.transport import TRANSPORT_ALIASES, filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps, loads

from analysis.schema import JobKind

logger = logging.getLogger(__name__)

TASK_NAME = "loupe.do_job"
SCHEME = "loupe-filesystem"
# Redis hands out again what a worker took and did not acknowledge for so long: what it had fetched ahead when it died.
REDIS_OPTIONS = {
    "visibility_timeout": 60,  # seconds; twice a message is harmless, the job's row lets one worker have it
    "unacked_restore_interval": 1,  # times a throttle of 10: a sweep in ten seconds, where the default is a hundred
}


class Channel(filesystem.Channel):
    """A filesystem channel whose messages appear whole or not at all."""

    def _put(  # type: ignore[override]  # named as in kombu's own filesystem channel
        self, queue: str, payload: dict[str, Any], **kwargs: Any
    ) -> None:
        # kombu takes everything after the first dot as the queue
        _write_whole(Path(self.data_folder_out) / f"{time_ns():020d}_{uuid.uuid4()}.{queue}.msg", payload)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        binding = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with (self.control_folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            table = self.get_table(exchange)
            if binding not in table:
                _write_whole(self._exchange_file(exchange), [binding, *table])

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        for message in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            try:
                taken = message.rename(Path(self.processed_folder) / message.name)
            except FileNotFoundError:
                continue  # another worker was faster
            payload = taken.read_bytes()
            taken.unlink()
            return dict(loads(payload))
        raise Empty


def _write_whole(path: Path, data: Any) -> None:
    """Write JSON so that a reader finds all of it or no file, even if this process or the machine dies."""
    aside = path.with_name(f"{path.name}.aside")
    try:
        with aside.open("wb") as file:
            file.write(str_to_bytes(dumps(data)))
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ChannelError(f"Cannot write to the embedded broker in {path.parent}: {error}") from error


class Transport(filesystem.Transport):
    Channel = Channel


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def take_job(app: Celery, kind: JobKind) -> int | None:
    """The id of the job of this kind that waits longest, its message taken from the broker; None where none waits or
    the broker does not answer, which the log says.

    Whoever dies with it loses the message and not the job: the sweeper sends it again.
    """
    connection = app.connection_for_read()
    try:
        with connection:
            # not the default channel: that one tries for ever to reach a broker
            message = connection.channel().basic_get(kind.value, no_ack=True)
    except (*connection.connection_errors, *connection.channel_errors, KombuError) as error:
        logger.error("Asking the broker for a %s: %s. It waits until this job is done.", kind.value, error)
        return None
    if message is None:
        return None
    message.accept = {"application/json"}
    arguments, _, _ = message.payload
    return int(arguments[0])


def make_celery(broker_url: str) -> Celery:
    """A Celery app on `broker_url`: `loupe-filesystem:///folder` (embedded) or any URL kombu knows, as `redis://…`."""
    app = Celery("loupe", set_as_current=False)
    app.conf.update(
        broker_url=broker_url,
        broker_connection_retry_on_startup=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        # a queue for each kind of job, served in turn: a short merge does not wait behind hundreds of shards
        task_queues=[Queue(kind.value) for kind in JobKind],
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_log_format="%(message)s",
    )
    if broker_url.startswith(f"{SCHEME}:"):
        folder = Path(unquote(urlsplit(broker_url).path))
        queue, control, taken = folder / "queue", folder / "control", folder / "taken"
        for each in (queue, control, taken):
            each.mkdir(parents=True, exist_ok=True)
        app.conf.broker_url = f"{SCHEME}://localhost"
        app.conf.broker_transport_options = {
            "data_folder_in": str(queue),
            "data_folder_out": str(queue),
            "control_folder": str(control),
            "processed_folder": str(taken),
            "polling_interval": 0.05,
        }
    elif urlsplit(broker_url).scheme in ("redis", "rediss"):
        app.conf.broker_transport_options = dict(REDIS_OPTIONS)
    if urlsplit(broker_url).scheme == "rediss":
        app.conf.broker_use_ssl = {"ssl_cert_reqs": ssl.CERT_REQUIRED}  # kombu would accept any certificate
    return app
