"""`replicate`: what is finished is kept when it stops, and used when it goes on; what it writes is complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.replications import recorded as recorded_module
from analysis.replications import replicate as module
from analysis.replications.recorded import ReplicationError, read_recorded
from analysis.scrubbing.experiment import Experiment
from tests.scrubbing.saying import node
from tests.tiny import put_into

KEYS = ["induction/naive", "induction/refined", "gallery/permissive"]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Three rows about a tiny model in place of all."""
    store = tmp_path / "data" / "store"
    model_hash = put_into(store, "tiny-gpt2").meta["hash"]
    about = {"model": "tiny-gpt2", "model_hash": model_hash, "task": "induction-random", "rows": 20, "n": 12}
    nodes = {
        KEYS[0]: [node("out")],
        KEYS[1]: [node("out"), node("a", "out", "L2H0", sampler="exact")],
        KEYS[2]: [node("out"), node("b", "out", "L2H1", sampler="exact")],
    }
    asked = {key: Experiment.from_json({**about, "nodes": of}) for key, of in nodes.items()}
    monkeypatch.setattr(module, "keys", lambda: KEYS)
    monkeypatch.setattr(module, "read_row", lambda key: asked[key])
    monkeypatch.setattr(module, "find_heads", lambda store, group: module.Found([], {}, {}))
    monkeypatch.setattr(module, "_slugs", list)
    monkeypatch.setattr(module, "ASSIGNMENTS", {"tiny-gpt2": 1})
    monkeypatch.setattr(module, "RECORDED", tmp_path / "recorded.json")
    return {"store": store, "work": tmp_path / "data" / "replicating", "recorded": tmp_path / "recorded.json"}


def test_a_replication_that_was_stopped_goes_on_and_ends_with_the_same(small: dict[str, Any]) -> None:
    seen: list[tuple[str, str]] = []

    class StoppedError(Exception):
        pass

    def stopping(key: str) -> Any:
        def on_progress(share: float, doing: str) -> None:
            seen.append((key, doing))
            if share == 1.0 and len({key for key, _ in seen}) == 2:
                raise StoppedError

        return on_progress

    with pytest.raises(StoppedError):
        module.replicate(small["store"], small["work"], on_row=stopping)
    assert not small["recorded"].exists()
    first = seen[0][0]
    seen.clear()
    module.replicate(small["store"], small["work"], on_row=lambda key: lambda share, doing: seen.append((key, doing)))
    assert [doing for key, doing in seen if key == first] == ["finished before"]
    assert not small["work"].exists()
    again = json.loads(small["recorded"].read_text())
    module.replicate(small["store"], small["work"], on_row=lambda key: lambda share, doing: None)
    assert json.loads(small["recorded"].read_text()) == again
    assert set(again["rows"]) == set(KEYS)
    naive, refined = again["rows"][KEYS[0]], again["rows"][KEYS[1]]
    assert refined["compared"]["value"] == pytest.approx(
        refined["result"]["recovered"]["value"] - naive["result"]["recovered"]["value"]
    )


def test_a_recorded_file_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_module, "RECORDED", tmp_path / "nowhere.json")
    read_recorded.cache_clear()
    with pytest.raises(ReplicationError, match="expected the file that `make replicate` writes"):
        read_recorded()
    read_recorded.cache_clear()
