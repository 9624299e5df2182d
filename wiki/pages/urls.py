"""Addresses of pages and of the data behind them."""

from django.urls import path, register_converter

from .converters import (
    ComponentConverter,
    FormConverter,
    HashConverter,
    HeadConverter,
    KVHeadConverter,
    LayerConverter,
    NeuronConverter,
    PartConverter,
    TextNameConverter,
)
from .views import (
    adding,
    building,
    cards,
    coverage,
    downloads,
    embeds,
    experiments,
    heads,
    home,
    jump,
    kv_heads,
    layers,
    models,
    neurons,
    notes,
    own_text,
    surveys,
    texts,
)

register_converter(HashConverter, "hash")
register_converter(LayerConverter, "layer")
register_converter(HeadConverter, "head")
register_converter(NeuronConverter, "neuron")
register_converter(KVHeadConverter, "kv_head")
register_converter(ComponentConverter, "component")
register_converter(PartConverter, "part")
register_converter(FormConverter, "form")
register_converter(TextNameConverter, "text_name")

urlpatterns = [
    path("", home.home, name="home"),
    path("index.json", home.home_json, name="home-json"),
    path("progress/", home.home_progress, name="home-progress"),
    path("jump/", jump.jump, name="jump"),
    path("m/<str:slug>.json", models.model_json, name="model-json"),
    path("m/<str:slug>/", models.model_page, name="model"),
    path("m/<str:slug>/scatter.json", models.model_scatter, name="model-scatter"),
    path("m/<str:slug>/progress/", models.model_progress, name="model-progress"),
    path("m/<str:slug>/random/", models.random_head, name="random-head"),
    path("m/<str:slug>/<layer:component>.json", layers.layer_json, name="layer-json"),
    path("m/<str:slug>/<layer:component>/", layers.layer_page, name="layer"),
    path("m/<str:slug>/<head:component>.json", heads.head_json, name="head-json"),
    path("m/<str:slug>/<head:component>/", heads.head_page, name="head"),
    path("m/<str:slug>/<head:component>/pattern/", embeds.live_pattern, name="live-pattern"),
    path("m/<str:slug>/random-neuron/", neurons.random_neuron, name="random-neuron"),
    path("m/<str:slug>/<neuron:component>.json", neurons.neuron_json, name="neuron-json"),
    path("m/<str:slug>/<neuron:component>/", neurons.neuron_page, name="neuron"),
    path("m/<str:slug>/<neuron:component>/rows/<int:row>/", neurons.neuron_row, name="neuron-row"),
    path("m/<str:slug>/<kv_head:component>.json", kv_heads.kv_head_json, name="kv-head-json"),
    path("m/<str:slug>/<kv_head:component>/", kv_heads.kv_head_page, name="kv-head"),
    path("m/<str:slug>/figures/<slug:name>.<form:form>", downloads.download, name="model-figure"),
    path("m/<str:slug>/<component:component>/figures/<slug:name>.<form:form>", downloads.download, name="figure"),
    path("m/<str:slug>/<component:component>/card/", cards.card, name="card"),
    path("m/<str:slug>/<kv_head:component>/card/", cards.card, name="kv-head-card"),
    path("m/<str:slug>/text.json", own_text.forms_json, name="own-text-form-json"),
    path("m/<str:slug>/text/", own_text.text_form, name="own-text"),
    path("m/<str:slug>/text/<text_name:prompt_hash>.json", own_text.text_json, name="own-text-json"),
    path("m/<str:slug>/text/<text_name:prompt_hash>/", own_text.text_page, name="own-text-page"),
    path("m/<str:slug>/text/<text_name:prompt_hash>/progress/", own_text.text_progress, name="own-text-progress"),
    path(
        "m/<str:slug>/text/<text_name:prompt_hash>/promoted/", own_text.promoted_progress, name="own-promoted-progress"
    ),
    path("m/<str:slug>/text/kept/<str:dataset>.<int:row>.json", own_text.kept_text_json, name="kept-text-json"),
    path("m/<str:slug>/text/kept/<str:dataset>.<int:row>/", own_text.kept_text_page, name="kept-text"),
    path("write/note/", notes.new_note, name="new-note"),
    path("orphans.json", notes.orphans_json, name="orphans-json"),
    path("orphans/", notes.orphans, name="orphans"),
    path("m/<str:slug>/wanted.json", coverage.wanted_json, name="wanted-parts-json"),
    path("m/<str:slug>/wanted/", coverage.wanted_page, name="wanted-parts"),
    path("m/<str:slug>/<part:component>/work/", coverage.work_on, name="work-on"),
    path("m/<str:slug>/texts.json", texts.texts_json, name="model-texts-json"),
    path("m/<str:slug>/texts/", texts.texts_page, name="model-texts"),
    path("m/<str:slug>/<part:component>/texts.json", texts.texts_json, name="component-texts-json"),
    path("m/<str:slug>/<part:component>/texts/", texts.texts_page, name="component-texts"),
    path("m/<str:slug>/<path:name>", jump.component_by_any_name, name="component-by-any-name"),
    path("x/", experiments.experiments, name="experiments"),
    path("x.json", experiments.experiments_json, name="experiments-json"),
    path("x/new/", building.new_experiment, name="new-experiment"),
    path("x/compare/", experiments.compare, name="compare-experiments"),
    path("x/<hash:experiment_hash>.json", experiments.experiment_json, name="experiment-json"),
    path("x/<hash:experiment_hash>/", experiments.experiment_page, name="experiment"),
    path("x/<hash:experiment_hash>/progress/", experiments.run_progress, name="run-progress"),
    path("x/<hash:experiment_hash>/again/", experiments.again, name="run-again"),
    path("x/<hash:experiment_hash>/stop/", experiments.stop_run, name="stop-run"),
    path("x/<text_name:beginning>/", experiments.experiment_by_beginning, name="experiment-by-beginning"),
    path("models/add/", adding.add_model, name="add-model"),
    path("models/add/<hash:asked>.json", adding.adding_json, name="adding-json"),
    path("models/add/<hash:asked>/", adding.adding_page, name="adding"),
    path("models/add/<hash:asked>/progress/", adding.adding_progress, name="adding-progress"),
    path("t/<hash:prompt_hash>/patterns/<head:component>.u8", own_text.own_pattern_bytes, name="own-pattern"),
    path(
        "t/<hash:prompt_hash>/patterns/<layer:component>.u8",
        own_text.own_layer_pattern_bytes,
        name="own-layer-patterns",
    ),
    path("t/<hash:prompt_hash>/norms/<head:component>.f32", own_text.own_value_norm_bytes, name="own-value-norms"),
    path("t/<hash:prompt_hash>/promoted/<head:component>.json", own_text.own_promoted_json, name="own-promoted"),
    path("s/<hash:survey_hash>.json", surveys.survey_json, name="survey-json"),
    path("s/<hash:survey_hash>/", surveys.survey_page, name="survey"),
    path("s/<text_name:beginning>/", surveys.survey_by_beginning, name="survey-by-beginning"),
    path("s/<hash:survey_hash>/progress/", surveys.survey_progress, name="survey-progress"),
    path("s/<hash:survey_hash>/patterns/<int:row>/<head:component>.u8", surveys.pattern_bytes, name="pattern"),
    path(
        "s/<hash:survey_hash>/patterns/<int:row>/<layer:component>.u8",
        surveys.layer_pattern_bytes,
        name="layer-patterns",
    ),
    path("s/<hash:survey_hash>/neurons/<layer:component>.f32", surveys.layer_neuron_floats, name="layer-neurons"),
    path("s/<hash:survey_hash>/norms/<int:row>/<head:component>.f32", surveys.value_norm_bytes, name="value-norms"),
    path("s/<hash:survey_hash>/promoted/<int:row>/<head:component>.json", surveys.promoted_json, name="promoted"),
]
