"""What tests of tasks share."""

from __future__ import annotations

import pytest
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from analysis.datasets import corpus
from analysis.datasets.tasks import texts

# the same examples every time, and no limit on the time of one: the machine may be busy
settings.register_profile("tasks", derandomize=True, deadline=None, database=None, max_examples=60)
settings.load_profile("tasks")

BOS = 0
NAMES = ("Mary", "John", "Tom", "James", "Anna", "Laura", "Peter", "Susan", "Paul", "Lucy")


def byte_level(texts: list[str], *, size: int) -> Tokenizer:
    """A byte-level BPE of so many tokens whose token 0 is the BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<bos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Some 1,500 tokens, ten names of the prompts among them."""
    names = [f" {name}" for name in NAMES] * 10_000
    return byte_level([*names, *(address.text[:20_000] for address in corpus.read_sotu()[::20])], size=1500)


@pytest.fixture(scope="session")
def _beginnings() -> list[corpus.Document]:
    return [corpus.Document(address.title, address.text[:6000]) for address in corpus.read_sotu()[::6]]


@pytest.fixture
def few_addresses(_beginnings: list[corpus.Document], monkeypatch: pytest.MonkeyPatch) -> list[corpus.Document]:
    """The text is the beginnings of forty addresses."""
    monkeypatch.setattr(texts, "read_sotu", lambda: _beginnings)
    return _beginnings
