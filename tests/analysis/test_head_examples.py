"""What heads pick out: scores, histograms, examples and top tokens, against loops over transformers' eager patterns."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from analysis.datasets.rows import Rows
from analysis.merge import merge_partials
from analysis.schema import SurveySpec
from analysis.statistics.head_examples import choose_examples, histogram
from analysis.store import Artifact, open_artifact, publish, write_arrays
from analysis.survey import calibrate, calibration_path, measure_rows, publish_calibration
from tests import tiny
from tests.oracles import eager_attentions

N_ROWS = 60
ROUNDING = 2e-6  # of an attention that is computed another way
# One plain, one with a sliding window, one with capped scores.
SLUGS = ("tiny-gpt2", "tiny-mistral", "tiny-gemma2")


@dataclasses.dataclass
class Measured:
    """A survey in three shards, and the patterns of its rows."""

    artifact: Artifact
    rows: list[list[int]]
    documents: list[int]
    patterns: list[np.ndarray]  # of each row [layer, head, dest, src]

    def heads(self) -> list[tuple[int, int]]:
        n_layers, n_heads = self.patterns[0].shape[:2]
        return [(layer, head) for layer in range(n_layers) for head in range(n_heads)]

    def read(self, name: str, layer: int, head: int) -> np.ndarray:
        return self.artifact.read(f"head.{name}", file=f"layer-{layer}")[head]

    def scores(self, layer: int, head: int) -> list[float]:
        """The largest attention of each row with query ≥ 1 and key ≥ 1."""
        return [largest(pattern[layer, head])[0] for pattern in self.patterns]


def largest(pattern: np.ndarray) -> tuple[float, int]:
    """The largest attention off the sink, and the query that pays it."""
    n = len(pattern)
    return max((float(pattern[q, k]), q) for q in range(1, n) for k in range(1, q + 1))


def some_rows() -> list[list[int]]:
    """Rows of two lengths: fourteen tokens that are frequent, and many that are rare. Each begins differently, since
    heads whose largest attention is that of position 1 to itself would score equal beginnings equally."""
    random = np.random.default_rng(0)
    rows = []
    for i, length in enumerate([28] * 35 + [19] * 25):
        tokens = np.where(random.random(length) < 0.9, random.integers(1, 15, length), random.integers(80, 390, length))
        rows.append([0, 15 + i, *tokens.tolist()])
    return rows


@pytest.fixture(scope="module", params=SLUGS)
def measured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("heads")
    model, rows = tiny.build(request.param, sharpness=4.0), some_rows()
    documents = np.random.default_rng(1).integers(0, 30, N_ROWS).tolist()
    laid = Rows.of(rows, titles=[str(i) for i in range(30)], documents=documents, offsets=[0] * N_ROWS)
    spec = SurveySpec("-", "-", "sotu", "-", N_ROWS, 0, in_depth=True, lens_rows=0, shard_rows=22, batch_rows=4)
    calibration = calibrate(model, laid, spec)
    publish_calibration(folder, spec, calibration)
    partials = []
    for shard in range(spec.n_shards):
        files = measure_rows(model, laid, spec, spec.shard(shard), calibration, on_batch=lambda rows_done: None).files()
        with publish(folder / f"shard-{shard}", meta={}) as path:
            for file, arrays in files.items():
                write_arrays(path, arrays, file=file)
        partials.append(open_artifact(folder / f"shard-{shard}"))
    with publish(folder / "survey", meta={}) as path:
        merge_partials(path, spec, laid, partials, open_artifact(calibration_path(folder, spec)), family="gpt2")
    patterns = [eager_attentions(model, row) for row in rows]
    return Measured(open_artifact(folder / "survey"), rows, documents, patterns)


def slow_examples(scores: list[float], documents: list[int]) -> list[list[int]]:
    """The rows that stand for a head, interval by interval from the highest, each of another document."""
    n = len(scores)
    ranked = sorted(range(n), key=lambda row: -scores[row])
    intervals: list[list[int]] = []
    seen: set[int] = set()
    for fifth in range(5):
        rows = ranked[n * fifth // 5 : n * (fifth + 1) // 5]
        most = 10 if fifth == 0 else 3
        chosen: list[int] = []
        for row in rows if fifth == 0 else sorted(rows):
            if len(chosen) < most and documents[row] not in seen:
                chosen.append(row)
                seen.add(documents[row])
        intervals.append(chosen)
    return intervals


def in_slots(intervals: list[list[int]]) -> list[int]:
    """Ten slots for the highest, three for each other interval, −1 where there are fewer rows."""
    slots = []
    for rows, size in zip(intervals, (10, 3, 3, 3, 3), strict=True):
        slots += rows + [-1] * (size - len(rows))
    return slots


def told_apart(scores: list[float]) -> bool:
    """Whether no two scores are so near to each other that rounding could change their order."""
    return bool(np.diff(sorted(scores)).min() > 2 * ROUNDING)


def test_examples_of_heads_are_the_rows_that_loops_over_eager_attentions_choose(measured: Measured) -> None:
    n_compared = 0
    for layer, head in measured.heads():
        scores = measured.scores(layer, head)
        rows = measured.read("example_row", layer, head)
        of_rows = [measured.documents[row] for row in rows if row >= 0]
        assert len(of_rows) == len(set(of_rows)) > 15
        if told_apart(scores):
            assert rows.tolist() == in_slots(slow_examples(scores, measured.documents))
            n_compared += 1
    assert n_compared >= 0.75 * len(measured.heads())


def test_examples_of_heads_have_their_score_their_query_and_its_attention(measured: Measured) -> None:
    for layer, head in measured.heads():
        rows, scores, queries, weights = (
            measured.read(f"example_{name}", layer, head) for name in ("row", "score", "query", "weights")
        )
        for row, score, query, weight in zip(rows, scores, queries, weights, strict=True):
            if row < 0:
                continue
            pattern = measured.patterns[row][layer, head]
            expected, at = largest(pattern)
            assert score == pytest.approx(expected, abs=ROUNDING)
            assert query == at or max(pattern[query, 1:]) == pytest.approx(expected, abs=ROUNDING)
            n = len(pattern)
            assert np.abs(weight[1:n] / 255 - pattern[query, 1:]).max() <= 0.5 / 255 + ROUNDING
            assert weight[0] == 0
            assert not weight[n:].any()


def test_the_histogram_of_a_head_counts_its_rows_by_score(measured: Measured) -> None:
    n_compared = 0
    for layer, head in measured.heads():
        scores = measured.scores(layer, head)
        found = measured.read("histogram", layer, head)
        assert found.sum() == N_ROWS
        if min(abs(score - edge / 20) for score in scores for edge in range(1, 20)) > ROUNDING:
            n_compared += 1
            for i in range(20):
                last = i == 19  # a score of 1 is in the last bin
                assert found[i] == sum(i / 20 <= score and (last or score < (i + 1) / 20) for score in scores)
    assert n_compared >= 0.75 * len(measured.heads())


def attention_by_token(measured: Measured, layer: int, head: int) -> tuple[dict[int, float], dict[int, float]]:
    """For every token seen ten times: the mean over its queries of their largest attention off the sink, and the mean
    over its keys of the attention that a later query pays them on average."""
    paid: dict[int, list[float]] = {}
    received: dict[int, list[float]] = {}
    for row, patterns in zip(measured.rows, measured.patterns, strict=True):
        pattern, n = patterns[layer, head], len(row)
        for position in range(1, n):
            paid.setdefault(row[position], []).append(max(pattern[position, 1:]))
            later = [pattern[query, position] for query in range(position + 1, n)]
            if later:
                received.setdefault(row[position], []).append(sum(later) / len(later))
    often = [token for token, values in paid.items() if len(values) >= 10]
    assert 10 < len(often) < len(paid)
    return (
        {token: sum(paid[token]) / len(paid[token]) for token in often},
        {token: sum(received[token]) / len(received[token]) for token in often},
    )


def test_top_tokens_of_heads_are_those_of_loops_over_eager_attentions(measured: Measured) -> None:
    for layer, head in measured.heads():
        for kind, expected in zip(("query", "key"), attention_by_token(measured, layer, head), strict=True):
            tokens, means = (measured.read(f"{kind}_{name}", layer, head) for name in ("tokens", "means"))
            assert len(set(tokens.tolist())) == 10
            np.testing.assert_allclose(means, sorted(expected.values(), reverse=True)[:10], atol=ROUNDING)
            np.testing.assert_allclose(means, [expected[token] for token in tokens.tolist()], atol=ROUNDING)


def test_a_document_that_a_higher_interval_took_is_passed_over_and_slots_stay_empty() -> None:
    scores = np.linspace(1, 0, 40)[:, None]  # row 0 is the highest, eight rows an interval
    few = np.arange(40) % 12
    chosen = choose_examples(scores, few)[0]
    # 8 documents are taken by the highest, the other four by the next two
    assert chosen.tolist() == [*range(8), -1, -1, 8, 9, 10, 23, -1, -1, -1, -1, -1, -1, -1, -1]
    many = choose_examples(scores, np.arange(40))[0]
    assert many.tolist() == [*range(8), -1, -1, 8, 9, 10, 16, 17, 18, 24, 25, 26, 32, 33, 34]


def test_a_score_of_one_is_in_the_last_bin() -> None:
    found = histogram(np.array([[0.0, 1.0], [0.04, 0.96], [0.06, 0.94]], dtype=np.float32))
    assert found[0].tolist() == [2, 1] + 18 * [0]
    assert found[1].tolist() == 18 * [0] + [1, 2]
