from django.apps import AppConfig


class FollowingConfig(AppConfig):
    name = "wiki.following"

    def ready(self) -> None:
        from wiki.texts.signals import report_answered, revision_saved  # noqa: PLC0415 (once models can be read)

        from .notifying import tell_of_answer, tell_of_signal  # noqa: PLC0415

        revision_saved.connect(tell_of_signal)
        report_answered.connect(tell_of_answer)
