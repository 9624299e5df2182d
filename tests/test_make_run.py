"""`make run` as a newcomer has it: a real model, a real survey, a real browser, a worker that dies, Ctrl-C."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page

from analysis.datasets.rows import Rows
from analysis.datasets.table import DATASETS, read_rows
from analysis.metrics import HEAD_METRICS, head_metrics
from analysis.models import load_model, model_path
from analysis.schema import SurveySpec
from analysis.store import open_artifact
from analysis.survey import measure_rows
from tests.browsing import watched_page
from tests.oracles import eager_attentions, slow_metric
from tests.postgres import free_port

SLUG = "smollm2-135m-instruct-q4"
PATIENCE = 1800


class Run:
    """A `make run` with its terminal output."""

    def __init__(self, data: Path, port: int, **environment: str) -> None:
        self.data, self.port = data, port
        self.url = f"http://127.0.0.1:{port}"
        self.output = ""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "LOUPE", "OMP"))}
        self.process = subprocess.Popen(
            ["make", "run"],
            env={**clean, "PORT": str(port), "LOUPE_DATA": str(data), **environment},
            cwd=settings.BASE_DIR,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a terminal of its own, so that Ctrl-C reaches it alone
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line

    def wait_until(self, condition: Callable[[], bool], *, what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"`make run` ended while waiting for {what}:\n{self.output}"
            assert time.monotonic() < deadline, f"waited {PATIENCE} seconds for {what}:\n{self.output}"
            time.sleep(0.2)

    def wait_until_up(self) -> None:
        self.wait_until(lambda: f"Loupe is at http://localhost:{self.port}/" in self.output, what="the address")
        self.wait_until(self._answers, what="the site to answer")

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def data_of(self, address: str, *, slug: str = SLUG) -> Any:
        with urllib.request.urlopen(f"{self.url}/m/{slug}{address}") as answer:  # noqa: S310 (our own http address)
            return json.load(answer)

    def processes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def worker(self) -> psutil.Process:
        """The measuring worker: Celery itself, not the shell that keeps it alive."""
        (worker,) = (p for p in self.processes() if "celery" in p.cmdline() and "sh" not in Path(p.cmdline()[0]).name)
        return worker

    def press_control_c(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(30)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    started = Run(tmp_path_factory.mktemp("make-run") / "data", free_port())
    try:
        started.wait_until_up()
        yield started
    finally:
        if started.process.poll() is None:
            started.press_control_c()


def test_progress_moves_without_reload_and_a_killed_worker_costs_nothing(run: Run, browser: Browser) -> None:
    with watched_page(browser.new_context()) as page:
        page.goto(f"{run.url}/m/{SLUG}/")
        page.evaluate("window.neverReloaded = true")
        seen: set[str] = set()

        def moved() -> bool:
            seen.add(page.locator("[hx-get]").first.inner_text())
            return len(seen) >= 2

        run.wait_until(moved, what="progress on the page")
        assert page.evaluate("window.neverReloaded") is True
        run.wait_until(lambda: f"{SLUG} on sotu: survey-shard 0 done" in run.output, what="a shard of the long survey")
        run.worker().kill()
        run.wait_until(lambda: f"{SLUG} on sotu: survey-merge 0 done" in run.output, what="the survey to finish")
        run.wait_until(lambda: f"{SLUG}: weights 0 done" in run.output, what="the weights to be read")
        page.get_by_text("Highest induction (repeated)").wait_for()
    assert "the measuring worker ended; starting it again" in run.output
    assert "Traceback" not in run.output


def test_the_organisms_are_measured_first_and_together_within_a_minute(run: Run) -> None:
    organisms = ("paren-balance", "attn-only-2l")
    last = {slug: run.output.index(f"{slug}: weights 0 done") for slug in organisms}
    assert last["paren-balance"] < last["attn-only-2l"] < run.output.index(f"{SLUG} on sotu: survey-merge 0 done")
    lines = run.output.splitlines()
    (started,) = [clock(line) for line in lines if "worker started" in line]
    ended = [clock(line) for line in lines if any(f"{slug}: weights 0 done" in line for slug in organisms)]
    assert len(ended) == 2
    assert (max(ended) - started) % 86_400 <= 60


def clock(line: str) -> int:
    """The seconds of the day that a line of the supervisor begins with."""
    hours, minutes, seconds = map(int, line.split(maxsplit=1)[0].split(":"))
    return 3600 * hours + 60 * minutes + seconds


def test_heads_of_the_organisms_have_their_numbers_and_the_known_ones_stand_out(run: Run) -> None:
    heads = {
        (layer, head): run.data_of(f"/L{layer}H{head}.json", slug="attn-only-2l")
        for layer in range(2)
        for head in range(8)
    }
    assert all(answer["absent"] == {} for answer in heads.values())
    induction, previous = (
        {at: answer["metrics"][key]["value"] for at, answer in heads.items()}
        for key in ("induction_repeated", "previous_token")
    )
    assert max(induction[1, head] for head in range(8)) >= 0.85
    assert max(previous[0, head] for head in range(8)) >= 0.5
    shares = run.data_of("/L2H1.json", slug="paren-balance")["mass"]["shares"]
    assert shares["later tokens"]["value"] > 0.2


@pytest.mark.parametrize("slug", ["paren-balance", "attn-only-2l"])
@pytest.mark.parametrize("part", ["", "L1/", "L1H0/"])
def test_pages_of_the_organisms_browse(run: Run, browser: Browser, slug: str, part: str) -> None:
    with watched_page(browser.new_context()) as page:
        page.goto(f"{run.url}/m/{slug}/{part}")
        if "H" in part:
            page.locator("attention-pattern[ready]").wait_for()
        assert page.locator("h1").count() == 1
        assert page.locator("[hx-get]").count() == 0  # nothing is waited for


def test_every_head_has_every_number_and_the_known_heads_rank_first(run: Run) -> None:
    for layer in range(30):
        for head in range(9):
            answer = run.data_of(f"/L{layer}H{head}.json")
            assert answer["component"] == f"L{layer}H{head}"
            assert answer["absent"] == {}
            assert list(answer["metrics"]) == [metric.key for metric in HEAD_METRICS]
            assert all(1 <= metric["rank"] <= metric["of"] == 270 for metric in answer["metrics"].values())
    induction, previous = run.data_of("/L18H6.json"), run.data_of("/L16H0.json")
    assert induction["metrics"]["induction_repeated"]["rank"] == 1
    assert induction["metrics"]["induction_repeated"]["value"] == pytest.approx(0.9, abs=0.03)
    assert previous["metrics"]["previous_token"]["rank"] == 1
    assert run.data_of("/L17H3.json")["metrics"]["induction_repeated"]["rank"] == 2
    provenance = induction["provenance"]
    assert provenance["surveys"]["sotu"]["tokens"] == 512 * 128
    assert provenance["surveys"]["repeated-random"]["tokens"] == 64 * 101
    assert {survey["model_hash"] for survey in provenance["surveys"].values()} == {provenance["model"]["hash"]}


@pytest.mark.parametrize(
    ("head", "metric", "rank"),
    [("L18H6", "induction (repeated)", 1), ("L16H0", "previous token", 1), ("L17H3", "induction (repeated)", 2)],
)
def test_the_pages_of_known_heads_show_the_rank_of_what_they_are_known_for(
    run: Run, browser: Browser, head: str, metric: str, rank: int
) -> None:
    with watched_page(browser.new_context(java_script_enabled=False)) as page:
        page.goto(f"{run.url}/m/{SLUG}/{head}/")
        shown = rank_on_card(page, metric)
    assert shown.words == f"{rank} of 270"
    # every tick is a head, or several; to the right of the mark are those that rank above it
    above = [tick for tick in shown.ticks if tick > shown.mark + TICK]
    assert len(above) <= rank - 1
    assert (shown.mark == max(shown.ticks)) == (rank == 1)


def test_the_drawn_pattern_of_the_induction_head_on_repeated_tokens_shows_the_stripe(
    run: Run, browser: Browser
) -> None:
    with watched_page(browser.new_context(color_scheme="light")) as page:
        page.goto(f"{run.url}/m/{SLUG}/L18H6/?text=repeated-random.0")
        page.locator("attention-pattern[ready]").wait_for()
        darkness = drawn_darkness(page, tokens=101)
    # a query in the second half attends to what came after its token in the first half: 50 before, and one on
    on, after, before = (
        np.array([darkness[query, query - distance] for query in range(51, 101)]) for distance in (49, 48, 50)
    )
    assert on.mean() > 0.45
    assert on.mean() > 4 * max(after.mean(), before.mean())
    assert np.mean(on > 2 * np.maximum(after, before)) > 0.85


def test_the_drawn_pattern_of_the_previous_token_head_shows_another_stripe(run: Run, browser: Browser) -> None:
    with watched_page(browser.new_context(color_scheme="light")) as page:
        page.goto(f"{run.url}/m/{SLUG}/L16H0/?text=repeated-random.0")
        page.locator("attention-pattern[ready]").wait_for()
        darkness = drawn_darkness(page, tokens=101)
    assert np.mean([darkness[query, query - 49] for query in range(51, 101)]) < 0.1
    assert np.mean([darkness[query, query - 1] for query in range(2, 101)]) > 0.3


@dataclasses.dataclass(frozen=True)
class ShownRank:
    """What a head's card shows: its rank in words, and where its mark is among the ticks of the strip."""

    words: str
    mark: float
    ticks: list[float]


# Half the distance of two ticks, in the strip's units.
TICK = 1.1


def rank_on_card(page: Page, metric: str) -> ShownRank:
    card = page.locator(".metric").filter(has=page.get_by_role("link", name=metric, exact=True))
    paths = [path.get_attribute("d") or "" for path in card.locator(".strip path:not(.here)").all()]
    mark = card.locator(".strip .here").get_attribute("d") or ""
    ticks = [float(x) for path in paths for x in re.findall(r"M([\d.]+) ", path)]
    return ShownRank(card.locator("summary").inner_text(), float(mark.split()[0].removeprefix("M")), ticks)


def drawn_darkness(page: Page, *, tokens: int) -> np.ndarray:
    """How far the middle of each cell on the canvas is from the page's ground towards black: [query, key], 0 to 1."""
    pixels = page.locator("attention-pattern canvas").evaluate(
        """(canvas, n) => {
            const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            const middle = (i) => Math.floor(((i + 0.5) * canvas.width) / n);
            const places = [...Array(n).keys()].map(middle);
            return places.map((y) => places.map((x) => [...data.slice(4 * (y * width + x), 4 * (y * width + x) + 3)]));
        }""",
        tokens,
    )
    light = np.array(pixels) @ [0.2126, 0.7152, 0.0722] / 255
    ground = light[0, -1]  # a key after the query: nothing is drawn there
    return np.asarray((ground - light) / ground)


def test_a_token_is_locked_on_the_page_as_it_is_served(run: Run, browser: Browser) -> None:
    with watched_page(browser.new_context()) as page:
        page.goto(f"{run.url}/m/{SLUG}/L18H6/?text=bundled-texts.0")
        page.locator("attention-pattern[ready]").wait_for()
        page.locator(".token").nth(18).click()
        assert "q=18" in page.url
        page.reload()
        page.locator("attention-pattern[ready]").wait_for()
        assert page.locator(".token.locked").inner_text().strip() == "Secretary"
        assert page.locator("[data-part=keys] tr").first.inner_text().split() == ["of", "3", ".58"]
        page.locator(".token").nth(18).focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        assert "q=19" in page.url


def test_served_patterns_of_every_layer_are_those_of_eager_attention(run: Run) -> None:
    provenance = run.data_of("/L18H6.json")["provenance"]["surveys"]["bundled-texts"]
    store = run.data / "store"
    model = load_model(store, SLUG, expected_hash=provenance["model_hash"], device="cpu")
    artifact = open_artifact(model_path(store, SLUG))
    rows = read_rows(store, artifact, "bundled-texts", expected_hash=provenance["dataset_hash"])
    eager = eager_attentions(model, rows[0].tolist())
    for layer in range(30):
        address = f"{run.url}/s/{provenance['survey']}/patterns/0/L{layer}H{layer % 9}.u8"
        with urllib.request.urlopen(address) as answer:  # noqa: S310 (our own http address)
            served = np.frombuffer(answer.read(), dtype=np.uint8).reshape(len(rows[0]), -1) / 255
        # bytes are rounded to 255 steps
        np.testing.assert_allclose(served, eager[layer, layer % 9], atol=0.5 / 255 + 1e-4)


@pytest.mark.parametrize("dataset", ["repeated-random", "sotu"])
def test_figures_of_the_real_model_equal_loops_over_eager_attentions(run: Run, dataset: str) -> None:
    provenance = run.data_of("/L18H6.json")["provenance"]["surveys"][dataset]
    store = run.data / "store"
    model = load_model(store, SLUG, expected_hash=provenance["model_hash"], device="cpu")
    artifact = open_artifact(model_path(store, SLUG))
    rows: Rows = read_rows(store, artifact, dataset, expected_hash=provenance["dataset_hash"])
    spec = SurveySpec(
        SLUG, "-", dataset, "-", rows=2, pattern_rows=0, in_depth=False, lens_rows=0, shard_rows=2, batch_rows=2
    )
    sums = measure_rows(model, rows, spec, range(2), None, on_batch=lambda rows_done: None).files()["sums"]
    texts = [rows[row].tolist() for row in range(2)]
    eager = [eager_attentions(model, text) for text in texts]
    metrics = [metric.key for metric in head_metrics(DATASETS[dataset].kind) if metric.key != "output_norm"]
    for key in metrics:
        found = sums[f"head.sum.{key}"].sum(0) / sums[f"head.count.{key}"].sum(0)
        for layer, head in ((18, 6), (16, 0), (17, 3), (0, 0), (29, 8)):
            slow, _ = slow_metric(key, [patterns[layer, head] for patterns in eager], texts)
            assert found[layer, head] == pytest.approx(slow, abs=2e-4, rel=2e-4), (key, layer, head)


def test_a_second_start_on_the_same_port_is_refused_and_harms_nothing(run: Run) -> None:
    second = Run(run.data, run.port)
    assert second.process.wait(60) != 0
    assert f"Listening on 127.0.0.1:{run.port}: expected a free port, got “Address already in use”" in second.output
    assert run.data_of("/L18H6.json")["absent"] == {}


def test_control_c_and_a_closed_terminal_end_all_and_a_second_start_has_its_data_without_network(run: Run) -> None:
    started = run.processes()
    assert len(started) >= 5
    before = run.data_of("/L18H6.json")
    run.press_control_c()
    _, alive = psutil.wait_procs(started, timeout=20)
    assert alive == []
    again = Run(run.data, run.port, PIP_NO_INDEX="1")
    try:
        again.wait_until_up()
        assert again.data_of("/L18H6.json") == before
        assert "fetching" not in again.output
        assert "converting" not in again.output
        started = again.processes()
        os.killpg(again.process.pid, signal.SIGHUP)  # the terminal is closed
        _, alive = psutil.wait_procs(started, timeout=20)
        assert alive == []
    finally:
        if again.process.poll() is None:
            again.press_control_c()
