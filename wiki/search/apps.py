from django.apps import AppConfig


class SearchConfig(AppConfig):
    name = "wiki.search"

    def ready(self) -> None:
        from wiki.texts.signals import article_renamed, page_tagged, revision_saved  # noqa: PLC0415 (once models can be read)

        from .indexing import index_page_of_signal  # noqa: PLC0415

        revision_saved.connect(index_page_of_signal)
        article_renamed.connect(index_page_of_signal)
        page_tagged.connect(index_page_of_signal)
