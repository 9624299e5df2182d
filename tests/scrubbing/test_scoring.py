"""Losses and outputs against the model's own logits, one sample at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from analysis.datasets.task import TaskMetric, TaskRows
from analysis.scrubbing.graph import ScrubError
from analysis.scrubbing.parts import ROOT
from analysis.scrubbing.scoring import Scorer
from tests.scrubbing.models import N_POSITIONS, N_ROWS, graph_of, model_of, rows

tokens, mask = rows()
generator = np.random.default_rng(2)
COUNTED = mask & (generator.random(mask.shape) < 0.5)
COUNTED[:, 1] = True


def task_rows(**more: object) -> TaskRows:
    labels = generator.integers(0, 400, (N_ROWS, N_POSITIONS))
    return TaskRows(tokens, mask, COUNTED, labels, np.arange(N_ROWS), **more)


def log_probabilities(slug: str) -> list[list[list[float]]]:
    with torch.no_grad():
        logits = model_of(slug)(torch.from_numpy(tokens), attention_mask=torch.from_numpy(mask).long()).logits
    return logits.tolist()


def minus_log_softmax(logits: list[float], label: int) -> float:
    top = max(logits)
    return math.log(sum(math.exp(logit - top) for logit in logits)) + top - logits[label]


def test_the_loss_of_a_row_is_the_mean_over_its_counted_positions() -> None:
    of = task_rows()
    graph = graph_of("tiny-gpt2")
    chosen = np.array([3, 7, 3, 11])
    scored = Scorer(graph, of, TaskMetric.NEXT_TOKEN_LOSS).score(graph.run(chosen, [ROOT])[ROOT], chosen)
    logits = log_probabilities("tiny-gpt2")
    for sample, row in enumerate(chosen):
        places = [at for at in range(N_POSITIONS) if COUNTED[row, at]]
        losses = [minus_log_softmax(logits[row][at], int(of.labels[row, at])) for at in places]
        assert scored.losses[sample] == pytest.approx(sum(losses) / len(losses), rel=1e-9)
        assert scored.outputs[sample][places] == pytest.approx([-loss for loss in losses])
        assert np.isnan(np.delete(scored.outputs[sample], places)).all()


def test_labels_of_another_row_go_to_the_counted_positions_in_their_order() -> None:
    of = task_rows()
    graph = graph_of("tiny-gpt2")
    chosen, others = np.array([3, 7]), np.array([8, 3])
    streams = graph.run(chosen, [ROOT])[ROOT]
    scored = Scorer(graph, of, TaskMetric.NEXT_TOKEN_LOSS).score(streams, chosen, labels_of=others)
    logits = log_probabilities("tiny-gpt2")
    for sample, (row, other) in enumerate(zip(chosen, others, strict=True)):
        places = [at for at in range(N_POSITIONS) if COUNTED[row, at]]
        labels = [int(of.labels[other, at]) for at in range(N_POSITIONS) if COUNTED[other, at]]
        losses = [minus_log_softmax(logits[row][at], labels[i % len(labels)]) for i, at in enumerate(places)]
        assert scored.losses[sample] == pytest.approx(sum(losses) / len(losses), rel=1e-9)


def test_a_logit_difference_is_the_label_less_the_wrong_label() -> None:
    wrong = generator.integers(0, 400, (N_ROWS, N_POSITIONS))
    of = task_rows(wrong_labels=wrong)
    graph, chosen = graph_of("tiny-gpt2"), np.array([5])
    scored = Scorer(graph, of, TaskMetric.LOGIT_DIFFERENCE).score(graph.run(chosen, [ROOT])[ROOT], chosen)
    logits = log_probabilities("tiny-gpt2")[5]
    places = [at for at in range(N_POSITIONS) if COUNTED[5, at]]
    expected = [logits[at][of.labels[5, at]] - logits[at][wrong[5, at]] for at in places]
    assert scored.losses[0] == pytest.approx(sum(expected) / len(expected))


def test_a_classifier_is_read_where_it_classifies() -> None:
    first = np.zeros(mask.shape, bool)
    first[:, 0] = True
    labels = generator.integers(0, 2, (N_ROWS, N_POSITIONS))
    of = TaskRows(tokens, mask, first, labels, np.arange(N_ROWS))
    graph = graph_of("brackets")
    everything = np.arange(N_ROWS)
    scored = Scorer(graph, of, TaskMetric.CLASS_LOSS).score(graph.run(everything, [ROOT])[ROOT], everything)
    with torch.no_grad():
        logits = model_of("brackets")(torch.from_numpy(tokens), torch.from_numpy(mask)).logits.tolist()
    expected = [minus_log_softmax(logits[row], int(labels[row, 0])) for row in range(N_ROWS)]
    assert scored.losses == pytest.approx(expected)
    assert np.exp(scored.outputs).sum(1) == pytest.approx(np.ones(N_ROWS))
    assert scored.outputs[np.arange(N_ROWS), labels[:, 0]] == pytest.approx([-loss for loss in expected])


def test_rows_in_which_nothing_counts_are_refused() -> None:
    counted = COUNTED.copy()
    counted[4] = False
    of = TaskRows(tokens, mask, counted, tokens, np.arange(N_ROWS))
    with pytest.raises(ScrubError, match="expected a counted position in each of them"):
        Scorer(graph_of("tiny-gpt2"), of, TaskMetric.NEXT_TOKEN_LOSS)
