from django.apps import AppConfig


class FollowingConfig(AppConfig):
    name = "wiki.following"

    def ready(self) -> None:
        from wiki.texts.signals import (  # noqa: PLC0415 (once models can be read)
            article_renamed,
            report_answered,
            revision_saved,
            visibility_changed,
        )

        from .notifying import tell_of_answer, tell_of_rename, tell_of_signal, tell_of_visibility  # noqa: PLC0415

        revision_saved.connect(tell_of_signal)
        report_answered.connect(tell_of_answer)
        visibility_changed.connect(tell_of_visibility)
        article_renamed.connect(tell_of_rename)
