from __future__ import annotations

import re

import numpy as np
from django.test import Client

from analysis.metrics import HEAD_METRICS
from wiki.components.models import LanguageModel
from wiki.experiments.models import Survey
from wiki.experiments.results import open_survey


def page(client: Client, path: str) -> str:
    return re.sub(r"\s+", " ", client.get(path).content.decode())


def test_map_links_every_head_with_its_value_and_rank_in_words(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/?metric=self")
    values = open_survey(Survey.objects.get(dataset="sotu")).metric("self")
    layer, head = np.unravel_index(np.argmax(values), values.shape)
    figure = f"{values[layer, head]:.2f}".removeprefix("0")
    assert f'aria-label="L{layer}H{head}: self {figure}, rank 1 of 12"' in content
    assert len(re.findall(r'aria-label="L\dH\d: self', content)) == 12


def test_heads_of_the_chosen_metric_are_listed_from_the_highest(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/?metric=entropy")
    values = open_survey(Survey.objects.get(dataset="sotu")).metric("entropy")
    order = np.argsort(-values.ravel())[:5]
    listed = content[content.index("Highest entropy") :]
    assert re.findall(r">(L\dH\d)</a>", listed)[:5] == [f"L{i // 4}H{i % 4}" for i in order]


def test_unknown_metric_shows_the_first(client: Client, model: LanguageModel) -> None:
    assert "Every head by induction (repeated)" in page(client, "/m/tiny/?metric=nonsense")


def test_data_has_sizes_surveys_and_all_values(client: Client, model: LanguageModel) -> None:
    data = client.get("/m/tiny.json").json()
    assert data["model"]["hash"] == model.hash
    assert data["sizes"]["n_layers"] == 3
    assert list(data["metrics"]) == [metric.key for metric in HEAD_METRICS]
    assert np.shape(data["metrics"]["self"]["values"]) == (3, 4)
    assert set(data["provenance"]["surveys"]) == {"repeated-random", "bundled-texts", "sotu"}


def test_layer_page_and_data_have_all_heads_of_the_layer(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/L1/")
    data = client.get("/m/tiny/L1.json").json()
    assert list(data["heads"]) == ["L1H0", "L1H1", "L1H2", "L1H3"]
    head = client.get("/m/tiny/L1H2.json").json()
    assert data["heads"]["L1H2"] == {"metrics": head["metrics"], "absent": {}}
    for metric in head["metrics"].values():
        assert f"{metric['rank']} of 12" in content
    assert 'href="/m/tiny/L0/"' in content
    assert 'href="/m/tiny/L2/"' in content


def test_home_lists_the_models(client: Client, model: LanguageModel) -> None:
    content = page(client, "/")
    assert '<a href="/m/tiny/">The tiny model</a>' in content
    assert "3 of 3" in content


def test_a_metric_that_is_not_there_is_said_and_not_silently_replaced(client: Client, model: LanguageModel) -> None:
    content = client.get("/m/tiny/?metric=<nope>").content.decode()
    assert "The link names the metric “&lt;nope&gt;”, which is not here; this is induction (repeated)." in content
    assert "The link names" not in client.get("/m/tiny/?metric=self").content.decode()
    assert "The link names" not in client.get("/m/tiny/").content.decode()
