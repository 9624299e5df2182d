from django.apps import AppConfig


class PagesConfig(AppConfig):
    name = "wiki.pages"

    def ready(self) -> None:
        from . import embeds  # noqa: F401, PLC0415 (it registers itself; models are there only now)
