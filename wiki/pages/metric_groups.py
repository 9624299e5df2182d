"""The head metrics as a page lists them to choose from: by what they say."""

from __future__ import annotations

from analysis.metrics import HEAD_METRICS, Metric

HEAD_METRICS_BY_KEY = {metric.key: metric for metric in HEAD_METRICS}

_KEYS = {
    "attends to": ("induction_repeated", "induction", "previous_token", "first_token", "self", "duplicate_token"),
    "how widely": ("entropy", "entropy_off_sink", "distance_mean", "distance_off_sink", "largest_off_sink"),
    "writes": ("ov_copying", "output_norm"),
}

# Every head metric once, by a word or two for what it says.
METRIC_GROUPS: dict[str, list[Metric]] = {
    name: [HEAD_METRICS_BY_KEY[key] for key in keys] for name, keys in _KEYS.items()
}
