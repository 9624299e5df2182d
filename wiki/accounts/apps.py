from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "wiki.accounts"
