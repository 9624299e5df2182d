from django.apps import AppConfig
from django.db.models.signals import post_migrate

from .guards import install_guards


class TextsConfig(AppConfig):
    name = "wiki.texts"

    def ready(self) -> None:
        from wiki.experiments.signals import experiment_changed  # noqa: PLC0415 (once models can be read)

        from .experiments import bump_experiment  # noqa: PLC0415

        post_migrate.connect(install_guards, sender=self)
        experiment_changed.connect(bump_experiment)
