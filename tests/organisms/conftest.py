from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from .measured import ATTENTION, BRACKETS, Measured, measure


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The models are so small that threads wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def brackets(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """The shipped classifier of brackets, surveyed as `make run` does, in two shards."""
    return measure(tmp_path_factory.mktemp("brackets"), BRACKETS)


@pytest.fixture(scope="session")
def attention(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """A small random model of attention alone, surveyed on a few rows."""
    return measure(tmp_path_factory.mktemp("attention"), ATTENTION)
