from tests.texts.conftest import alice, anonymous, bob, gpt2, moderator

__all__ = ["alice", "anonymous", "bob", "gpt2", "moderator"]
