"""The embedded broker: messages appear whole, once, and survive readers and writers at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from analysis.broker import make_celery

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
    root = Path(__file__).resolve().parents[2]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, str(n)], cwd=root) for n in range(3)]
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


def test_a_message_that_is_being_written_is_not_seen(tmp_path: Path) -> None:
    app = make_celery(f"loupe-filesystem://{tmp_path}/broker")
    queue = tmp_path / "broker" / "queue"
    (queue / "00000000000000000001_x.survey-shard.msg.aside").write_text('{"half":')
    with app.connection_for_read() as connection:
        assert connection.default_channel.basic_get("survey-shard") is None
