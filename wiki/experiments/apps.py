from django.apps import AppConfig


class ExperimentsConfig(AppConfig):
    name = "wiki.experiments"
