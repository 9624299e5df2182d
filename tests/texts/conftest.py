"""People who write: alice and bob, a moderator, and somebody who is not signed in."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from hypothesis import settings

from wiki.accounts.models import Role, User
from wiki.components.models import LanguageModel

# The same cases every time, and no limit on the time of one: the machine may be busy.
settings.register_profile("loupe", derandomize=True, deadline=None, database=None)
settings.load_profile("loupe")


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_user("alice", role=Role.RESEARCHER)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", role=Role.RESEARCHER)


@pytest.fixture
def moderator(db: None) -> User:
    return User.objects.create_user("charlie", role=Role.MODERATOR)


@pytest.fixture
def anonymous() -> AnonymousUser:
    return AnonymousUser()


@pytest.fixture
def gpt2(db: None) -> LanguageModel:
    sizes = {"n_layers": 12, "n_heads": 12, "n_kv_heads": 12, "d_model": 768, "d_head": 64, "d_mlp": 3072}
    return LanguageModel.objects.create(
        slug="gpt2", title="GPT-2", hash="0" * 64, family="gpt2", n_parameters=1, d_vocab=50257, **sizes
    )
