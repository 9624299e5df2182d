"""`python -m analysis` as somebody types it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.conf import settings

from analysis.__main__ import main
from analysis.commands import show
from analysis.schema import SchemaError, SurveySpec, WeightsSpec
from analysis.store import open_artifact, publish, survey_path, weights_path, write_arrays
from tests import tiny
from tests.analysis.test_sources import COMMIT, NAME, save
from tests.hub import running_hub
from tests.oracles import eager_attentions, slow_metric

# Many short shards, so that there is time to be stopped between two of them.
MANY = ("repeated-random", "--rows", "240", "--shard-rows", "2", "--pattern-rows", "1")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def start(data: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "analysis", *arguments],
        env={**os.environ, "LOUPE_DATA": str(data), **environment},
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def shell(data: Path, *arguments: str, status: int = 0, **environment: str) -> tuple[str, str]:
    """stdout and stderr of a command that ends with this status."""
    process = start(data, *arguments, **environment)
    out, err = process.communicate(timeout=120)
    assert process.returncode == status, err
    assert "Traceback" not in err
    return out, err


# Exit status, stdout and stderr of a command in this process: a start of Python with torch takes seconds.
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    monkeypatch.setenv("LOUPE_DATA", str(data))

    def type_(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["analysis", *arguments])
        status = main()
        return status, *capsys.readouterr()

    return type_


def wait_for(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def partials(data: Path) -> list[Path]:
    return list((data / "store" / "partials").glob("*/shard-*/manifest.json"))


def survey_files(data: Path) -> dict[str, str]:
    (path,) = (data / "store" / "surveys").iterdir()
    return {name: entry["sha256"] for name, entry in open_artifact(path).files.items()}


def stop_in_the_middle(data: Path, signal_number: int) -> tuple[int, str]:
    process = start(data, "survey", "tiny-gpt2", *MANY)
    wait_for(lambda: len(partials(data)) > 10)
    process.send_signal(signal_number)
    _, err = process.communicate(timeout=60)
    assert 10 < len(partials(data)) < 120
    assert not (data / "store" / "surveys").exists()
    return process.returncode, err


def test_a_survey_that_was_killed_goes_on_where_it_was_and_gives_equal_bytes(
    data: Path, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole"
    for folder in (data, whole):
        tiny.put_into(folder / "store", "tiny-gpt2")
    monkeypatch.setenv("LOUPE_DATA", str(whole))
    assert typed("survey", "tiny-gpt2", *MANY)[1].startswith("120 of 120 shards measured now")
    assert stop_in_the_middle(data, signal.SIGKILL)[0] == -signal.SIGKILL
    n_kept = len(partials(data))

    out, err = shell(data, "survey", "tiny-gpt2", *MANY)
    assert out.startswith(f"{120 - n_kept} of 120 shards measured now, the others were there: ")
    assert "240/240" in err
    assert survey_files(data) == survey_files(whole)
    assert list((data / "store" / "partials").iterdir()) == []
    monkeypatch.setenv("LOUPE_DATA", str(data))
    assert typed("survey", "tiny-gpt2", *MANY)[1].startswith("It is measured already: ")


def test_ctrl_c_is_answered_with_one_sentence_and_keeps_what_is_finished(data: Path) -> None:
    tiny.put_into(data / "store", "tiny-gpt2")
    status, err = stop_in_the_middle(data, signal.SIGINT)
    assert status == 130
    assert err.endswith("\nStopped; what was finished is kept, and the same command goes on from there.\n")
    assert "Traceback" not in err


def test_models_of_folders_and_of_the_hub_are_added_listed_surveyed_and_shown(
    data: Path, typed: Typed, tmp_path: Path
) -> None:
    status, out, err = typed("models")
    assert (status, out) == (0, "")
    assert "`python -m analysis models add NAME` adds one" in err
    _, out, _ = typed("models", "add", str(save(tmp_path / "mine", "tiny-qwen3")))
    assert out.startswith("mine (folder mine of an operator, sha256 of model.safetensors ")
    with running_hub() as hub:
        hub.card = {"license": "mit"}
        hub.publish(NAME, save(tmp_path / "theirs"), commit=COMMIT)
        arguments = ("models", "add", NAME, "--revision", COMMIT, "--slug", "theirs")
        out, _ = shell(data, *arguments, HF_ENDPOINT=hub.url)
    assert out == f"theirs (hub: {NAME}, commit {COMMIT})\n"

    lines = [line.split() for line in typed("models")[1].splitlines()]
    assert lines[0] == ["slug", "family", "layers", "heads", "d_model", "neurons", "parameters", "licence", "hash"]
    assert lines[1][:8] == ["mine", "qwen3", "3", "6", "48", "40", "83,736", "unknown"]
    assert lines[2][:8] == ["theirs", "gpt2", "3", "4", "24", "96", "35,160", "mit"]

    typed("survey", "theirs", "repeated-random", "--rows", "3")
    _, out, _ = typed("show", "theirs", "1.2")
    title, line = out.splitlines()
    assert re.fullmatch(r"L1H2 of theirs on repeated-random, 3 rows \(survey [0-9a-f]{12}, code \d+\.\d+\.\d+\)", title)
    figure = re.fullmatch(r"  induction \(repeated\)  (0\.\d{4})  ± 0\.\d{4}\s+rank (\d+) of 12", line)
    assert figure
    value, rank = slow_induction(data, rows=3)
    assert float(figure[1]) == pytest.approx(value, abs=6e-5)
    assert int(figure[2]) == rank


def slow_induction(data: Path, *, rows: int) -> tuple[float, int]:
    """The induction score of L1H2 on the first rows, and its rank among all 12 heads."""
    (path,) = (data / "store" / "datasets").glob("repeated-random-*")
    tokens = open_artifact(path).read("tokens")[: rows * 101].reshape(rows, 101)
    model = tiny.build("tiny-gpt2")
    patterns = [eager_attentions(model, row.tolist()) for row in tokens]
    texts = [row.tolist() for row in tokens]
    values = np.array(
        [
            [
                slow_metric("induction_repeated", [pattern[layer, head] for pattern in patterns], texts)[0]
                for head in range(4)
            ]
            for layer in range(3)
        ]
    )
    return values[1, 2], 1 + int((values > values[1, 2]).sum())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("survey", "gpt5", "sotu"), "Surveying gpt5: expected a model of the store, got another; `python -m"),
        (
            ("survey", "tiny-gpt2", "tweets"),
            "expected a dataset among repeated-random, bundled-texts, sotu, bracket-examples, bracket-strings, got",
        ),
        (("survey", "tiny-gpt2", "bundled-texts", "--rows", "4"), "expected at most its 3 rows, got 4"),
        (("survey", "tiny-gpt2", "bundled-texts", "--rows", "0"), "expected rows ≥ 1, got 0"),
        (
            ("survey", "tiny-gpt2", "bundled-texts", "--pattern-rows", "4"),
            "expected 0 ≤ pattern_rows ≤ rows (3), got 4",
        ),
        (("show", "gpt5", "L0H0"), "Opening gpt5: expected a complete artifact, found none"),
        (("show", "tiny-gpt2", "head five"), "Reading a component name: expected something like L5H1"),
        (("show", "tiny-gpt2", "L0H4"), "Showing L0H4 of tiny-gpt2: expected one of its 3 layers, 4 heads and 96"),
        (("show", "tiny-gpt2", "L0H3"), "expected a survey with figures of a head, found none; `python -m analysis"),
        (("models", "add", "./nowhere"), "Adding ./nowhere: expected a folder, found none there."),
        (
            ("survey", "tiny-gpt2", "bracket-strings"),
            "expected a dataset that it reads (repeated-random, bundled-texts, ",
        ),
        (
            ("prepare", "gpt5"),
            "Fetching a model: expected one of paren-balance, attn-only-2l, smollm2-135m-instruct-q4, got gpt5.",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(typed: Typed, data: Path, arguments: Any, sentence: str) -> None:
    tiny.put_into(data / "store", "tiny-gpt2")
    status, _, err = typed(*arguments)
    assert status == 1
    assert sentence in err.splitlines()[-1]


def test_a_damaged_artifact_is_named_and_the_others_are_shown(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = data / "store"
    tiny.put_into(store, "tiny-gpt2")
    (store / "surveys" / "damaged").mkdir(parents=True)
    with pytest.raises(SchemaError, match="found none"):
        show(store, "tiny-gpt2", "L0H0")
    assert "Opening damaged: expected a complete artifact, found none" in capsys.readouterr().err


def test_figures_of_a_survey_with_changed_bytes_are_not_shown(typed: Typed, data: Path) -> None:
    tiny.put_into(data / "store", "tiny-gpt2")
    for rows in ("2", "3"):
        typed("survey", "tiny-gpt2", "repeated-random", "--rows", rows)
    whole, damaged = (
        next(path for path in (data / "store" / "surveys").iterdir() if open_artifact(path).meta["spec"]["rows"] == n)
        for n in (2, 3)
    )
    file = damaged / "summary.safetensors"
    file.write_bytes(file.read_bytes()[:-8] + b"\0" * 8)
    status, out, err = typed("show", "tiny-gpt2", "L1H2")
    assert status == 1
    assert f"Verifying {damaged.name[:8]}…: expected summary.safetensors with sha256 " in err
    assert "expected whole surveys, got 1 damaged, named above and not shown" in err.splitlines()[-1]
    assert f"(survey {whole.name[:12]}, " in out
    assert damaged.name[:12] not in out
    typed("survey", "tiny-gpt2", "repeated-random", "--rows", "3")
    status, out, _ = typed("show", "tiny-gpt2", "L1H2")
    assert status == 0
    assert damaged.name[:12] in out


def put_figures(store: Path, *, with_weights: bool) -> None:
    """A survey of tiny-gpt2, and a reading of its weights, that have measured some heads only."""
    hash_of = tiny.put_into(store, "tiny-gpt2").meta["hash"]
    sizes = {"rows": 2, "pattern_rows": 0, "lens_rows": 0, "shard_rows": 2, "batch_rows": 2}
    spec = SurveySpec("tiny-gpt2", hash_of, "sotu", "-", in_depth=False, **sizes)
    values = np.arange(12.0).reshape(3, 4) / 16
    values[0, 1] = np.nan
    error = np.full((3, 4), 0.125)
    error[2, 0] = np.nan
    uniform = {"duplicate_token": 0.03, "induction": 0.05}
    with publish(survey_path(store, spec.hash), meta={"spec": spec.to_json(), "uniform": uniform}) as folder:
        arrays = {f"head.{key}": values for key in ("self", "duplicate_token", "induction")}
        arrays |= {f"{name}.error": error for name in arrays}
        write_arrays(folder, arrays, file="summary")
    if with_weights:
        reading = WeightsSpec("tiny-gpt2", hash_of, spec.hash)
        with publish(weights_path(store, reading.hash), meta={"spec": reading.to_json()}) as folder:
            write_arrays(folder, {"ov_copying": -values}, file="summary")


def test_figures_stand_beside_uniform_attention_and_what_the_weights_say(typed: Typed, data: Path) -> None:
    put_figures(data / "store", with_weights=True)
    lines = typed("show", "tiny-gpt2", "L2H1")[1].splitlines()
    assert re.fullmatch(r"L2H1 of tiny-gpt2 on sotu, 2 rows \(survey \w{12}, code .*\)", lines[0])
    # one of the twelve is not measured
    assert [" ".join(line.split()) for line in lines[1:4]] == [
        "induction (text) 0.5625 ± 0.1250 rank 3 of 11 uniform attention: 0.0500",
        "self 0.5625 ± 0.1250 rank 3 of 11",
        "duplicate token 0.5625 ± 0.1250 rank 3 of 11 uniform attention: 0.0300",
    ]
    assert re.fullmatch(r"L2H1 of tiny-gpt2, by its weights \(reading \w{12}, code .*\)", lines[4])
    assert [" ".join(line.split()) for line in lines[5:]] == ["copying (OV) -0.5625 rank 9 of 11"]


def test_without_a_reading_of_weights_nothing_is_said_of_them(typed: Typed, data: Path) -> None:
    put_figures(data / "store", with_weights=False)
    status, out, err = typed("show", "tiny-gpt2", "L2H1")
    assert (status, err) == (0, "")
    assert "weights" not in out


def test_what_is_no_number_is_not_measured_and_has_no_rank(typed: Typed, data: Path) -> None:
    put_figures(data / "store", with_weights=True)
    out = typed("show", "tiny-gpt2", "L0H1")[1]
    assert "nan" not in out
    assert "rank" not in out
    assert out.count("not measured") == 4
    without_error = typed("show", "tiny-gpt2", "L2H0")[1].splitlines()[2]
    assert " ".join(without_error.split()) == "self 0.5000 rank 4 of 11"


def test_a_kv_head_is_said_to_have_no_figures_of_its_own(typed: Typed, data: Path) -> None:
    tiny.put_into(data / "store", "tiny-llama")
    tiny.put_into(data / "store", "tiny-gpt2")
    status, out, err = typed("show", "tiny-llama", "L1KV1")
    assert (status, err) == (0, "")
    assert out.startswith("L1KV1 of tiny-llama has no figures of its own: it is one W_K and one W_V, which heads ")
    assert " L1H3, L1H4 and L1H5 read; " in out
    assert out.count("\n") == 1
    assert ", which head L2H3 reads; " in typed("show", "tiny-gpt2", "L2KV3")[1]
    assert typed("show", "tiny-gpt2", "L2KV4")[0] == 1
