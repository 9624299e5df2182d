from django.apps import AppConfig


class ModerationConfig(AppConfig):
    name = "wiki.moderation"

    def ready(self) -> None:
        from wiki.accounts.roles import role_given  # noqa: PLC0415 (models are there only now)

        from .recording import record_role  # noqa: PLC0415

        role_given.connect(record_role)
