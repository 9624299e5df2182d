"""Induction on random tokens and on text, and the text itself, against loops."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from analysis.datasets import corpus
from analysis.datasets.repeated import ordinary_tokens
from analysis.datasets.task import Split, TaskError
from analysis.datasets.tasks import texts
from analysis.datasets.tasks.induction import LEAST_LIFT, LEAST_REPEATS, make_random_rows, make_text_rows, whitelist
from tests.tasks.conftest import BOS, byte_level


def test_random_rows_are_bos_and_fifty_distinct_ordinary_tokens_twice(tokenizer: Tokenizer) -> None:
    rows = make_random_rows(Split.SEARCH, n=300, seed=0, tokenizer=tokenizer, bos=BOS)
    ordinary = set(ordinary_tokens(tokenizer).tolist())
    for line in rows.tokens.tolist():
        assert line[0] == BOS
        assert line[1:51] == line[51:]
        assert len(set(line[1:51])) == 50
        assert set(line[1:]) <= ordinary
    assert len({line.tobytes() for line in rows.tokens}) == 300
    assert rows.mask.all()
    # counted: the token at q was there before, and the token after it came after it before
    for line, counted, labels in zip(rows.tokens.tolist(), rows.counted, rows.labels.tolist(), strict=True):
        can_be_known = [q for q in range(1, 100) if any(line[j : j + 2] == line[q : q + 2] for j in range(1, q - 1))]
        assert np.flatnonzero(counted).tolist() == can_be_known
        assert all(labels[q] == line[q + 1] for q in can_be_known)
    assert (rows.roles["end"] == 99).all()
    assert (rows.roles["earlier"] == 49).all()
    assert (rows.roles["after"] == 50).all()


def test_a_vocabulary_without_fifty_ordinary_tokens_is_refused() -> None:
    bytes_alone = byte_level(["0 1 2"], size=1)
    n = len(ordinary_tokens(bytes_alone))
    tokenizer = Tokenizer.from_str(bytes_alone.to_str())
    tokenizer.add_special_tokens([chr(letter) for letter in range(ord("a"), ord("z") + 1)])
    with pytest.raises(TaskError) as refused:
        make_random_rows(Split.CONFIRM, n=1, seed=0, tokenizer=tokenizer, bos=BOS)
    assert n >= 50
    assert str(refused.value) == (
        "Making rows of induction-random (confirm): expected a vocabulary with 50 or more ordinary tokens, "
        f"got {len(ordinary_tokens(tokenizer))}."
    )


def listed_by_loop(lines: list[list[int]], token: int) -> bool:
    """Brute force: every occurrence, and every pair of them."""
    followers, repeats, hits = [], 0, 0
    for line in lines:
        for q in range(1, len(line) - 1):
            if line[q] != token:
                continue
            followers.append(line[q + 1])
            before = [j for j in range(1, q) if line[j] == token]
            if before:
                repeats += 1
                hits += line[before[-1] + 1] == line[q + 1]
    pairs = list(itertools.combinations(followers, 2))
    chance = Fraction(sum(a == b for a, b in pairs), len(pairs)) if pairs else Fraction(0)
    return repeats >= LEAST_REPEATS and hits > 0 and Fraction(hits, repeats) >= LEAST_LIFT * chance


@given(st.lists(st.lists(st.integers(0, 3), min_size=20, max_size=20), min_size=1, max_size=3))
def test_the_whitelist_is_what_counting_pairs_of_followers_says(lines: list[list[int]]) -> None:
    assert whitelist(np.asarray(lines), n_tokens=5).tolist() == [listed_by_loop(lines, token) for token in range(5)]


def test_a_token_whose_followers_come_back_is_listed_and_one_with_a_fixed_follower_is_not() -> None:
    # after 1 comes a token of the row's own; after 2 always 3: it comes back no more often than by chance
    lines = [[0, *([1, 10 + row, 2, 3] * 4), 4] for row in range(10)]
    listed = whitelist(np.asarray(lines), n_tokens=30)
    assert listed[1]
    assert not listed[2]
    assert not listed[4]


def test_rows_of_text_count_where_the_input_token_is_listed(
    tokenizer: Tokenizer, few_addresses: list[corpus.Document]
) -> None:
    sought, _ = texts.text_tokens(Split.SEARCH, tokenizer, bos=BOS)
    listed = set(np.flatnonzero(whitelist(sought, n_tokens=tokenizer.get_vocab_size())).tolist())
    assert len(listed) > 30
    for split in Split:
        rows = make_text_rows(split, n=100, seed=1, tokenizer=tokenizer, bos=BOS)
        assert len({line.tobytes() for line in rows.tokens}) == 100
        for row, line in enumerate(rows.tokens.tolist()):
            counted = [q for q in range(1, 127) if line[q] in listed]
            assert np.flatnonzero(rows.counted[row]).tolist() == counted
            end = max(q for q in counted if line[q] in line[1:q])
            earlier = max(j for j in range(1, end) if line[j] == line[end])
            assert [int(rows.roles[role][row]) for role in ("end", "earlier", "after")] == [end, earlier, earlier + 1]


def test_each_address_is_whole_in_one_split(tokenizer: Tokenizer, few_addresses: list[corpus.Document]) -> None:
    rows = {split: texts.text_tokens(split, tokenizer, bos=BOS) for split in Split}
    ids = [tokenizer.encode(address.text, add_special_tokens=False).ids for address in few_addresses]
    expected = {tuple(line[start : start + 127]) for line in ids for start in range(0, len(line) - 126, 127)}
    contents = {split: {tuple(line[1:]) for line in tokens.tolist()} for split, (tokens, _) in rows.items()}
    assert contents[Split.SEARCH] | contents[Split.CONFIRM] == expected
    assert not contents[Split.SEARCH] & contents[Split.CONFIRM]
    for tokens, documents in rows.values():
        for document in set(documents.tolist()):
            of_it = {tuple(line[1:]) for line in tokens[documents == document].tolist()}
            assert any(of_it == {tuple(d[s : s + 127]) for s in range(0, len(d) - 126, 127)} for d in ids)


def test_the_bundled_text_has_four_thousand_rows_to_confirm_on(tokenizer: Tokenizer) -> None:
    rows = make_text_rows(Split.CONFIRM, n=4096, seed=0, tokenizer=tokenizer, bos=BOS)
    assert 0.1 < rows.counted.mean() < 0.9
    assert len(set(rows.documents.tolist())) > 80


def test_every_next_token_of_the_corpus_counts(tokenizer: Tokenizer, few_addresses: list[corpus.Document]) -> None:
    rows = texts.make_rows(Split.SEARCH, n=50, seed=0, tokenizer=tokenizer, bos=BOS)
    assert rows.counted.tolist() == [[True] * 127 + [False]] * 50
    assert rows.labels[:, :-1].tolist() == rows.tokens[:, 1:].tolist()
    assert (rows.tokens[:, 0] == BOS).all()


@pytest.mark.parametrize("make", [texts.make_rows, make_text_rows], ids=["sotu", "induction-text"])
def test_more_rows_than_the_text_has_are_refused(
    make, tokenizer: Tokenizer, few_addresses: list[corpus.Document]
) -> None:
    key = "sotu" if make is texts.make_rows else "induction-text"
    with pytest.raises(TaskError) as refused:
        make(Split.CONFIRM, n=10**6, seed=0, tokenizer=tokenizer, bos=BOS)
    available = int(str(refused.value).split("at most ")[1].split()[0])
    assert str(refused.value) == (
        f"Making rows of {key} (confirm): expected at most {available} of them, as the text has no more for this "
        "tokenizer, got n = 1000000."
    )
    assert len(make(Split.CONFIRM, n=available, seed=0, tokenizer=tokenizer, bos=BOS)) == available
