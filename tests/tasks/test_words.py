"""Where tokens repeat, against loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.datasets.features import evaluate
from analysis.datasets.task import ABSENT
from analysis.datasets.tasks.words import WORD_FEATURES, latest_earlier, next_token_rows, role_features

LINES = st.integers(2, 9).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 4), min_size=width, max_size=width), min_size=1, max_size=4)
)


def earlier_by_loop(line: list[int], pos: int) -> int:
    for before in range(pos - 1, 0, -1):
        if line[before] == line[pos]:
            return before
    return -1


@given(LINES)
def test_features_of_tokens_are_what_loops_over_the_row_say(lines: list[list[int]]) -> None:
    tokens = np.asarray(lines)
    end = np.asarray([max(range(len(line)), key=line.__getitem__) if sum(line) else -1 for line in lines])
    rows = next_token_rows(
        tokens, counted=np.zeros(tokens.shape, dtype=bool), documents=np.arange(len(lines)), roles={"top": end}
    )
    assert latest_earlier(tokens).tolist() == [[earlier_by_loop(ln, p) for p in range(len(ln))] for ln in lines]
    vocabulary = {feature.key: feature for feature in (*WORD_FEATURES, *role_features(top="the largest token"))}
    values = {key: evaluate(key, rows, vocabulary).tolist() for key in vocabulary}
    assert values["token"] == lines
    assert values["previous_token"] == [[ABSENT, *line[:-1]] for line in lines]
    for row, line in enumerate(lines):
        assert rows.labels[row, :-1].tolist() == line[1:]
        for pos in range(len(line)):
            before = earlier_by_loop(line, pos)
            assert values["occurred_before"][row][pos] == int(line[pos] in line[1:pos])
            assert values["induction_token"][row][pos] == (line[before + 1] if before >= 0 else ABSENT)
        assert values["top_token"][row] == (max(line) if sum(line) else ABSENT)
        assert values["top_position"][row] == (line.index(max(line)) if sum(line) else ABSENT)
