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
)
from .views import downloads, heads, jump, kv_heads, layers, models, surveys

register_converter(HashConverter, "hash")
register_converter(LayerConverter, "layer")
register_converter(HeadConverter, "head")
register_converter(NeuronConverter, "neuron")
register_converter(KVHeadConverter, "kv_head")
register_converter(ComponentConverter, "component")
register_converter(FormConverter, "form")

urlpatterns = [
    path("", models.home, name="home"),
    path("jump/", jump.jump, name="jump"),
    path("m/<str:slug>.json", models.model_json, name="model-json"),
    path("m/<str:slug>/", models.model_page, name="model"),
    path("m/<str:slug>/progress/", models.model_progress, name="model-progress"),
    path("m/<str:slug>/random/", models.random_head, name="random-head"),
    path("m/<str:slug>/<layer:component>.json", layers.layer_json, name="layer-json"),
    path("m/<str:slug>/<layer:component>/", layers.layer_page, name="layer"),
    path("m/<str:slug>/<head:component>.json", heads.head_json, name="head-json"),
    path("m/<str:slug>/<head:component>/", heads.head_page, name="head"),
    path("m/<str:slug>/<kv_head:component>.json", kv_heads.kv_head_json, name="kv-head-json"),
    path("m/<str:slug>/<kv_head:component>/", kv_heads.kv_head_page, name="kv-head"),
    path("m/<str:slug>/figures/<slug:name>.<form:form>", downloads.download, name="model-figure"),
    path("m/<str:slug>/<component:component>/figures/<slug:name>.<form:form>", downloads.download, name="figure"),
    path("m/<str:slug>/<path:name>", jump.component_by_any_name, name="component-by-any-name"),
    path("s/<hash:survey_hash>.json", surveys.survey_json, name="survey-json"),
    path("s/<hash:survey_hash>/", surveys.survey_page, name="survey"),
    path("s/<hash:survey_hash>/progress/", surveys.survey_progress, name="survey-progress"),
    path("s/<hash:survey_hash>/patterns/<int:row>/<head:component>.u8", surveys.pattern_bytes, name="pattern"),
    path("s/<hash:survey_hash>/norms/<int:row>/<head:component>.f32", surveys.value_norm_bytes, name="value-norms"),
    path("s/<hash:survey_hash>/promoted/<int:row>/<head:component>.json", surveys.promoted_json, name="promoted"),
]
