from django.apps import AppConfig


class CoverageConfig(AppConfig):
    name = "wiki.coverage"

    def ready(self) -> None:
        from wiki.texts.signals import revision_saved, visibility_changed  # noqa: PLC0415 (once models can be read)

        from .counting import count_new_page, count_visibility  # noqa: PLC0415

        revision_saved.connect(count_new_page)
        visibility_changed.connect(count_visibility)
