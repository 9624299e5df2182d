from __future__ import annotations

import csv
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import plotly.graph_objects
import plotly.offline
import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from analysis.metrics import HEAD_METRICS, LAYER_METRICS
from analysis.schema import DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Measurement, Survey
from wiki.experiments.results import open_survey

from .building import build_model, build_survey, finish, random_metrics
from .building_layers import random_layers

SCATTER_TEMPLATE = "wiki/pages/templates/pages/_model_scatter.html"


def page(client: Client, path: str) -> str:
    return re.sub(r"\s+", " ", client.get(path).content.decode())


def metric_of(dataset: str, key: str) -> np.ndarray:
    """A metric of the heads as the test's survey has it: float64 [layer, head]."""
    metric = next(metric for metric in HEAD_METRICS if metric.key == key)
    return open_survey(Survey.objects.get(dataset=dataset)).metric(metric)


def heads_in_order(values: np.ndarray) -> list[str]:
    """Heads from the highest value, computed the slow way."""
    n_heads = values.shape[1]
    named = [(-float(value), place) for place, value in enumerate(values.ravel())]
    return [f"L{place // n_heads}H{place % n_heads}" for _, place in sorted(named)]


def found(content: str) -> list[tuple[str, str]]:
    """Rank and head of the finder's rows."""
    table = content[content.index('<table class="list found">') :].split("</table>", maxsplit=1)[0]
    return re.findall(r'<td class="soft">(\d+)</td><td><a href="/m/tiny/L\dH\d/">(L\dH\d)</a></td>', table)


def test_map_links_every_head_with_its_value_and_rank_in_words(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/?metric=self")
    values = metric_of("sotu", "self")
    layer, head = np.unravel_index(np.argmax(values), values.shape)
    figure = f"{values[layer, head]:.2f}".removeprefix("0")
    assert f'aria-label="L{layer}H{head}: self {figure}, rank 1 of 12"' in content
    assert len(re.findall(r'aria-label="L\dH\d: self', content)) == 12


def test_a_map_writes_all_its_figures_alike(client: Client, db: None) -> None:
    model = build_model()
    metrics = random_metrics(model, DatasetKind.NATURAL, seed=0)
    metrics["self"] = np.array([[0.001, 0.004, 0.0049, 0.2], [0, 0, 0, 0], [1, 1, 1, 1]])
    metrics["distance_mean"] = np.array([[0.04, 9.87, 50.2, 1], [2, 2, 2, 2], [3, 3, 3, 3]])
    finish(build_survey(model, "sotu"), metrics=metrics)

    def shown(key: str) -> list[str]:
        content = client.get(f"/m/tiny/?metric={key}").content.decode()
        return re.findall(r"<td><a class=[^>]*>([^<]*)</a></td>", content)

    assert shown("self") == ["&lt;.01", "&lt;.01", "&lt;.01", ".20", "0", "0", "0", "0", *["1.00"] * 4]
    assert shown("distance_mean") == ["&lt;.1", "9.9", "50.2", "1.0", *["2.0"] * 4, *["3.0"] * 4]


def test_a_map_of_a_signed_metric_has_a_hue_for_each_sign(client: Client, model: LanguageModel) -> None:
    content = client.get("/m/tiny/?metric=ov_copying").content.decode()
    cells = re.findall(r'<td><a class="a(\d+)( minus)?"[^>]*>([^<]*)</a>', content)
    values = [float(figure) for _, _, figure in cells]
    assert min(values) < 0 < max(values)
    assert [bool(minus) for _, minus, _ in cells] == [value < 0 for value in values]
    for level, _, figure in cells:
        assert int(level) == pytest.approx(20 * abs(float(figure)) / max(map(abs, values)), abs=0.7)
    assert content.count('<svg class="scale') == 2
    assert client.get("/m/tiny/?metric=self").content.decode().count('<svg class="scale') == 1


def test_every_metric_is_offered_once(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/")
    tabs = content[content.index('<nav class="groups"') :].split("</nav>")[0]
    assert sorted(re.findall(r'href="\?metric=([a-z_]+)', tabs)) == sorted(metric.key for metric in HEAD_METRICS)


def test_the_finder_lists_the_highest_heads_of_the_chosen_metric(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/?metric=entropy&top=5")
    order = heads_in_order(metric_of("sotu", "entropy"))
    assert found(content) == [(str(rank), head) for rank, head in enumerate(order[:5], start=1)]
    assert "± .01 nats" in content
    assert "Highest entropy" in content


def test_the_finder_lists_the_lowest_heads_with_their_ranks_from_the_top(client: Client, model: LanguageModel) -> None:
    order = heads_in_order(metric_of("sotu", "entropy"))[::-1]
    rows = found(page(client, "/m/tiny/?metric=entropy&top=all&end=lowest"))
    assert rows == [(str(12 - place), head) for place, head in enumerate(order)]


def test_the_finder_never_finds_a_head_without_a_value(client: Client, db: None) -> None:
    model = build_model()
    metrics = random_metrics(model, DatasetKind.NATURAL, seed=0)
    metrics["self"][1, 2] = np.nan
    finish(build_survey(model, "sotu"), metrics=metrics)
    for end in ("highest", "lowest"):
        rows = found(page(client, f"/m/tiny/?metric=self&top=all&end={end}"))
        assert len(rows) == 11
        assert "L1H2" not in dict(map(reversed, rows))  # type: ignore[arg-type]


def test_a_question_that_is_no_choice_is_said(client: Client, model: LanguageModel) -> None:
    assert [client.get(f"/m/tiny/?{query}").status_code for query in ("top=<7>", "end=middle", "x=nonsense")] == [
        404
    ] * 3
    content = page(client, "/m/tiny/?top=<7>&end=middle&x=nonsense")
    assert "The link asks for “&lt;7&gt;” heads and the “middle”, which is no choice here" in content
    assert "The link names “nonsense”, which is no metric of heads" in content
    content = page(client, "/m/tiny/?top=25&end=lowest&x=self&y=entropy")
    assert "The link asks" not in content
    assert "The link names" not in content


def test_each_form_and_tab_keeps_what_the_others_chose(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/?metric=self&top=5&end=lowest&x=entropy&y=self")
    assert 'href="?metric=entropy&amp;top=5&amp;end=lowest&amp;x=entropy&amp;y=self"' in content
    finder = content[content.index('<form class="choices" action="#finder"') :].split("</form>")[0]
    assert '<input type="hidden" name="x" value="entropy">' in finder
    assert 'name="metric" value' not in finder
    scatter = content[content.index('<form class="choices" action="#scatter"') :].split("</form>")[0]
    assert '<input type="hidden" name="end" value="lowest">' in scatter


def test_data_answers_the_finders_question(client: Client, model: LanguageModel) -> None:
    finder = client.get("/m/tiny.json?metric=self&top=5&end=lowest").json()["finder"]
    values = metric_of("sotu", "self")
    assert [head["head"] for head in finder["heads"]] == heads_in_order(values)[::-1][:5]
    assert finder["heads"][0] == {
        "rank": 12,
        "head": finder["heads"][0]["head"],
        "value": values.min(),
        "error": 0.01,
    }


def test_the_scatter_stands_in_a_table_without_javascript(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/?x=entropy&y=self")
    x, y = metric_of("sotu", "entropy")[1, 2], metric_of("sotu", "self")[1, 2]

    def figure(value: float) -> str:
        return f"{value:.2f}".removeprefix("0")

    row = (
        '<tr><th scope="row"><a href="/m/tiny/L1H2/">L1H2</a></th>'
        f'<td class="mono">{figure(x)} ± .01 nats</td><td class="mono">{figure(y)} ± .01</td></tr>'
    )
    assert row in content
    ranks = [np.argsort(np.argsort(metric_of("sotu", key).ravel())) for key in ("entropy", "self")]
    correlation = 1 - 6 * np.sum((ranks[0] - ranks[1]) ** 2) / (12 * (12**2 - 1))
    assert f"Rank correlation {correlation:.2f} (Spearman)".replace("0.", ".") in content


def test_the_scatters_data_is_a_figure_that_the_pinned_plotly_reads(client: Client, model: LanguageModel) -> None:
    data = client.get("/m/tiny/scatter.json?x=entropy&y=ov_copying").json()
    figure = plotly.graph_objects.Figure(data)
    assert figure.layout.xaxis.title.text == "entropy, nats"
    assert list(figure.data[0].x) == metric_of("sotu", "entropy").ravel().tolist()
    assert figure.data[0].customdata[6] == "/m/tiny/L1H2/"
    assert figure.data[0].error_y.array is None, "what is read from the weights has no standard error"


def test_the_committed_plotly_is_the_one_that_the_pinned_package_was_built_for() -> None:
    version = plotly.offline.get_plotlyjs_version()
    folder = Path(str(finders.find("vendor/plotly")))
    assert sorted(file.name for file in folder.iterdir()) == [
        "LICENSE",
        f"plotly-{version}.css",
        f"plotly-cartesian-{version}.min.js",
    ]
    script = (folder / f"plotly-cartesian-{version}.min.js").read_text()
    assert f"plotly.js (cartesian - minified) v{version}" in script[:200]
    assert f"plotly-cartesian-{version}.min.js" in (Path(__file__).parents[2] / SCATTER_TEMPLATE).read_text()


def test_a_scatter_that_cannot_be_drawn_says_why(client: Client, db: None) -> None:
    finish(build_survey(model := build_model(), "sotu"), metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    reason = "nduction (repeated): not measured: no survey of repeated-random is pinned for this model."
    assert f"I{reason}" in page(client, "/m/tiny/")
    response = client.get("/m/tiny/scatter.json")
    assert response.status_code == 404
    assert response.json()["error"] == f"Drawing a scatter: i{reason}"


def test_every_layer_is_a_link_with_its_logit_lens_in_words(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/")
    arrays = random_layers(model)

    def figure(key: str, layer: int) -> str:
        value, error = arrays[f"layer.{key}"][layer], arrays[f"layer.{key}.error"][layer]
        assert 0.01 < abs(value) < 10
        decimals = 2 if error >= 0.01 else 3  # one digit of the error
        assert error >= 0.001
        return " ± ".join(f"{number:.{decimals}f}".removeprefix("0") for number in (value, error))

    for layer in range(3):
        words = (
            f"L{layer}: logit lens agreement {figure('lens_agreement', layer)}, "
            f"logit lens divergence {figure('lens_divergence', layer)} nats"
        )
        assert f'<a href="/m/tiny/L{layer}/" aria-label="{words}">' in content
        assert f'<td class="mono">{figure("residual_norm", layer)}</td>' in content
    assert "on 512 positions of text" in content


def test_the_curve_of_agreement_is_drawn_on_an_axis_from_0_to_1(client: Client, db: None) -> None:
    model = build_model(n_layers=3)
    layers = random_layers(model)
    layers["layer.lens_agreement"] = np.array([0.0, 0.5, 1.0])
    layers["layer.lens_agreement.error"] = np.array([np.nan, 0.25, 0.0])
    finish(build_survey(model, "sotu"), metrics=random_metrics(model, DatasetKind.NATURAL, seed=0), layers=layers)
    content = page(client, "/m/tiny/")
    ticks = re.findall(r'<path class="rule" d="M46 ([\d.]+)H', content)[:3]
    zero, half, one = map(float, ticks)
    assert (zero - half, half - one) == (85, 85)
    curve = re.search(r'<path class="curve" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', content)
    assert curve
    assert [float(y) for y in curve.groups()[1::2]] == [zero, half, one]
    band = re.search(r'<path class="band" d="M([^"]*)Z"', content)
    assert band
    upper = [float(point.split()[1]) for point in band[1].split("L")]
    assert upper == [zero, half - 42.5, one, one, half + 42.5, zero], "there and back, without an error at the ends"
    assert "first at L2" in content


def test_a_survey_without_layers_says_so_and_lists_them(client: Client, db: None) -> None:
    finish(build_survey(model := build_model(), "sotu"), metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    content = page(client, "/m/tiny/")
    assert "Logit lens: not measured: the pinned survey of sotu did not ask for it." in content
    assert '<a href="/m/tiny/L2/">L2</a>' in content


def test_the_card_has_sizes_source_and_what_was_surveyed(client: Client, model: LanguageModel) -> None:
    content = page(client, "/m/tiny/")
    card = content[content.index("Sizes and provenance") :].split("</section>")[0]
    for said in ("1,234,567", ">48<", "made for tests", "CC0", model.hash, "72 tokens of sotu in 8 rows"):
        assert said in card
    assert "8 repeated-random rows of 72 tokens in all" in card
    assert "read for the tokens that matter in the survey of natural text" in card


def test_unknown_metric_shows_the_first(client: Client, model: LanguageModel) -> None:
    assert "Every head by induction (repeated)" in page(client, "/m/tiny/?metric=nonsense")


def test_data_has_sizes_surveys_and_all_values(client: Client, model: LanguageModel) -> None:
    data = client.get("/m/tiny.json").json()
    assert data["model"]["hash"] == model.hash
    assert data["sizes"]["n_layers"] == 3
    assert list(data["metrics"]) == [metric.key for metric in HEAD_METRICS]
    assert np.shape(data["metrics"]["self"]["values"]) == (3, 4)
    assert np.unique(data["metrics"]["self"]["errors"]).tolist() == [0.01]
    assert data["metrics"]["ov_copying"]["errors"] is None
    assert (data["sizes"]["n_all_heads"], data["sizes"]["n_all_neurons"]) == (12, 48)
    assert list(data["layers"]) == [metric.key for metric in LAYER_METRICS]
    assert data["layers"]["residual_norm"]["values"] == random_layers(model)["layer.residual_norm"].tolist()
    assert data["layers"]["residual_norm"]["errors"] == random_layers(model)["layer.residual_norm.error"].tolist()
    assert (data["absent"], data["layers_absent"]) == ({}, {})
    assert set(data["provenance"]["surveys"]) == {"repeated-random", "bundled-texts", "sotu"}
    weights = Measurement.objects.get(kind="weights")
    assert data["provenance"]["weights"] == {"finished": True, "weights": weights.hash}


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
    response = client.get("/m/tiny/?metric=<nope>")
    content = response.content.decode()
    assert response.status_code == 404
    assert "The link names the metric “&lt;nope&gt;”, which is not here; this is induction (repeated)." in content
    assert "The link names" not in client.get("/m/tiny/?metric=self").content.decode()
    assert "The link names" not in client.get("/m/tiny/").content.decode()


@pytest.mark.parametrize("name", ["map", "finder", "scatter", "layers"])
def test_every_figure_is_had_as_svg_and_csv(client: Client, model: LanguageModel, name: str) -> None:
    query = "metric=self&top=5&x=entropy&y=self"
    content = client.get(f"/m/tiny/?{query}").content.decode()
    for form in ("svg", "csv"):
        assert f'href="/m/tiny/figures/{name}.{form}?metric=self&amp;top=5&amp;x=entropy&amp;y=self"' in content
    svg = client.get(f"/m/tiny/figures/{name}.svg?{query}").content.decode()
    root = ET.fromstring(svg)  # noqa: S314 (our own)
    title = root.find("{http://www.w3.org/2000/svg}title")
    assert title is not None
    assert "tiny" in str(title.text)
    assert "style" not in svg, "the policy refuses inline styles in pictures too"
    lines = client.get(f"/m/tiny/figures/{name}.csv?{query}").content.decode().splitlines()
    assert lines[0] == f"# {title.text}"
    assert model.hash in lines[1]
    rows = list(csv.DictReader(lines[2:]))
    assert len(rows) == {"map": 12, "finder": 5, "scatter": 12, "layers": 3}[name]
    if name == "layers":
        assert float(rows[1]["lens_agreement"]) == random_layers(model)["layer.lens_agreement"][1]
    else:
        head = next(row for row in rows if row["head"] == heads_in_order(metric_of("sotu", "self"))[0])
        assert float(head["self"]) == metric_of("sotu", "self").max()


def test_a_figure_that_is_not_measured_says_why(client: Client, db: None) -> None:
    build_model()
    for name in ("map", "finder", "scatter", "layers"):
        response = client.get(f"/m/tiny/figures/{name}.svg")
        assert response.status_code == 404
        assert "is pinned for this model" in response.content.decode()


def test_home_names_heads_to_begin_with(client: Client, model: LanguageModel) -> None:
    content = page(client, "/")
    data = client.get("/index.json").json()["models"][0]
    for dataset, key in (("repeated-random", "induction_repeated"), ("sotu", "previous_token")):
        values = metric_of(dataset, key)
        name = heads_in_order(values)[0]
        figure = f"{values.max():.2f}".removeprefix("0")
        assert f'<a href="/m/tiny/{name}/"><strong>{name}</strong></a> <span class="mono">{figure}</span>' in content
        assert {"metric": key, "head": name, "value": values.max(), "url": f"/m/tiny/{name}/"} in data["begin_with"]
    assert data["surveys"] == {"finished": 3, "pinned": 3, "unfinished": []}
    assert 'href="/index.json"' in content


def test_a_map_that_is_not_there_is_said_to_be_missing(client: Client, model: LanguageModel) -> None:
    response = client.get("/m/tiny/?map=zzz")
    assert response.status_code == 404
    assert "expected map=coverage or none, got “zzz”" in response.text
