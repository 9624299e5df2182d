"""The embedded broker: messages appear whole, once, and survive readers and writers at the same time."""

from __future__ import annotations

import errno
import json
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from kombu.exceptions import OperationalError

from analysis.broker import make_celery

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys
from analysis.broker import make_celery
app = make_celery(sys.argv[1])
for n in range(100):
    app.send_task("loupe.do_job", args=[int(sys.argv[2]) * 100 + n], queue="survey-shard")
"""


def test_messages_of_several_processes_are_read_whole_while_they_are_written(tmp_path: Path) -> None:
    url = f"loupe-filesystem://{tmp_path}/broker"
    app = make_celery(url)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, str(n)], cwd=ROOT) for n in range(3)]
    seen: list[int] = []
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        channel.queue_declare("survey-shard")
        while any(writer.poll() is None for writer in writers) or len(seen) < 300:
            assert all(writer.poll() in (None, 0) for writer in writers)
            message = channel.basic_get("survey-shard", no_ack=True)
            if message is not None:
                seen.append(json.loads(message.body)[0][0])
    assert sorted(seen) == list(range(300))


def test_processes_that_start_at_once_in_an_empty_folder_do_not_trip_over_each_other(tmp_path: Path) -> None:
    for n in range(20):
        url = f"loupe-filesystem://{tmp_path}/{n}"
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(make_celery(url).send_task, "loupe.do_job", queue="survey-shard") for _ in range(8)]
        assert [future.exception() for future in sent] == [None] * 8
        assert len(list((tmp_path / str(n) / "queue").glob("*.msg"))) == 8


READER = """
import json, sys
from analysis.broker import make_celery
with make_celery(sys.argv[1]).connection_for_read() as connection:
    channel = connection.default_channel
    channel.queue_declare("survey-shard")
    while message := channel.basic_get("survey-shard", no_ack=True):
        print(json.loads(message.body)[0][0])
"""


def test_each_of_many_messages_goes_to_one_of_several_readers(tmp_path: Path) -> None:
    url = f"loupe-filesystem://{tmp_path}/broker"
    app = make_celery(url)
    for n in range(300):
        app.send_task("loupe.do_job", args=[n], queue="survey-shard")
    command = [sys.executable, "-c", READER, url]
    readers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    seen = [int(line) for reader in readers for line in reader.communicate()[0].split()]
    assert [reader.returncode for reader in readers] == [0, 0, 0]
    assert sorted(seen) == list(range(300))
    assert [path for path in (tmp_path / "broker").rglob("*") if path.suffix in (".msg", ".aside")] == []


def test_a_disk_that_refuses_is_an_error_and_leaves_nothing_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_celery(f"loupe-filesystem://{tmp_path}/broker")

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OperationalError, match=r"Cannot write to the embedded broker in .*No space left"):
        app.send_task("loupe.do_job", args=[1], queue="survey-shard", retry=False)
    assert list((tmp_path / "broker" / "queue").iterdir()) == []


def test_a_folder_with_signs_that_mean_something_in_urls_is_that_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c d%20"
    app = make_celery(f"loupe-filesystem://{quote(str(folder))}")
    app.send_task("loupe.do_job", args=[1], queue="survey-shard")
    assert len(list((folder / "queue").iterdir())) == 1


def test_a_message_that_is_being_written_is_not_seen(tmp_path: Path) -> None:
    app = make_celery(f"loupe-filesystem://{tmp_path}/broker")
    queue = tmp_path / "broker" / "queue"
    (queue / "00000000000000000001_x.survey-shard.msg.aside").write_text('{"half":')
    with app.connection_for_read() as connection:
        assert connection.default_channel.basic_get("survey-shard") is None


def test_redis_is_swept_for_what_a_killed_worker_had_fetched(redis_url: str) -> None:
    with make_celery(redis_url).connection_for_read() as connection:
        channel = connection.default_channel
        assert (channel.visibility_timeout, channel.unacked_restore_interval) == (60, 1)


def test_redis_over_tls_must_show_a_certificate_that_is_trusted() -> None:
    assert make_celery("rediss://redis.example.org/0").connection_for_read().ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
