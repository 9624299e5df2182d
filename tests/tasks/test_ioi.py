"""Prompts of indirect object identification, read back as a person reads them."""

from __future__ import annotations

import collections
import re

import numpy as np
import pytest
from tokenizers import Tokenizer

from analysis.datasets.features import evaluate
from analysis.datasets.task import ABSENT, Split, TaskError
from analysis.datasets.tasks import ioi, ioi_words
from analysis.datasets.tasks.ioi import FEATURES, make_rows, single_token_names
from tests.tasks.conftest import BOS, NAMES, byte_level

VOCABULARY = {feature.key: feature for feature in FEATURES}


def test_there_are_fifteen_templates_and_every_word_is_there_once() -> None:
    assert len(set(ioi_words.TEMPLATES)) == 15
    assert all(template.endswith(" to") for template in ioi_words.TEMPLATES)
    for template in ioi_words.TEMPLATES:
        assert re.findall(r"{(\w+)}", template) == ["A", "B", "place", "S", "thing"]
        assert not re.match(r"{", template)
    for words in (ioi_words.NAMES, ioi_words.PLACES, ioi_words.THINGS):
        assert len(set(words)) == len(words)
    assert all(thing[0] not in "aeiou" for thing in ioi_words.THINGS)


def test_each_prompt_reads_as_its_roles_labels_and_classes_say(tokenizer: Tokenizer) -> None:
    rows = make_rows(Split.SEARCH, n=400, seed=0, tokenizer=tokenizer, bos=BOS)
    values = {key: evaluate(key, rows, VOCABULARY) for key in VOCABULARY}
    seen = set()
    for row in range(400):
        tokens = rows.tokens[row][rows.mask[row]].tolist()
        words = [tokenizer.decode([token]).strip() for token in tokens]
        text = tokenizer.decode(tokens)
        names = [word for word in re.findall(r"\w+", text) if word in ioi_words.NAMES]
        ((subject, twice),) = [(name, n) for name, n in collections.Counter(names).items() if n == 2]
        (other,) = set(names) - {subject}
        assert twice == 2
        assert len(names) == 3
        assert tokens[0] == BOS
        assert text.endswith(" to")
        roles = {role: int(positions[row]) for role, positions in rows.roles.items()}
        assert roles["IO"] == words.index(other)
        assert roles["S1"] == words.index(subject)
        assert roles["S1+1"] == roles["S1"] + 1
        assert roles["S2"] == len(words) - 1 - words[::-1].index(subject)
        assert roles["END"] == len(tokens) - 1
        end = roles["END"]
        assert np.flatnonzero(rows.counted[row]).tolist() == [end]
        assert rows.wrong_labels is not None
        assert tokenizer.decode([rows.labels[row, end]]) == f" {other}"
        assert tokenizer.decode([rows.wrong_labels[row, end]]) == f" {subject}"
        assert (values["io"][row], values["s"][row]) == (tokens[roles["IO"]], tokens[roles["S2"]])
        order, template = int(values["order"][row]), int(values["template"][row])
        assert order == (0 if names[0] == other else 1)
        first, second, third = names
        fitting = ioi_words.TEMPLATES[template].format(A=first, B=second, S=third, place="(.*)", thing="(.*)")
        assert re.fullmatch(fitting, text)
        for key, role in (("io", "IO"), ("s1", "S1"), ("s2", "S2"), ("end", "END")):
            assert values[f"{key}_position"][row] == roles[role]
        assert (values["token"][row][~rows.mask[row]] == ABSENT).all()
        assert (values["previous_token"][row][~rows.mask[row]] == ABSENT).all()
        seen.add((order, template, text))
    assert len({text for _, _, text in seen}) == 400
    assert {(order, template) for order, template, _ in seen} == {(o, t) for o in range(2) for t in range(15)}


def test_every_name_is_as_often_giver_as_receiver(tokenizer: Tokenizer) -> None:
    rows = make_rows(Split.CONFIRM, n=4000, seed=2, tokenizer=tokenizer, bos=BOS)
    for key in ("io", "s"):
        _, counts = np.unique(evaluate(key, rows, VOCABULARY), return_counts=True)
        assert len(counts) == len(single_token_names(tokenizer)) >= len(NAMES)
        assert counts.max() < 1.6 * counts.min()


def test_names_of_several_tokens_are_left_out(tokenizer: Tokenizer) -> None:
    found = single_token_names(tokenizer)
    for name in ioi_words.NAMES:
        ids = tokenizer.encode(f" {name}", add_special_tokens=False).ids
        assert (name in found) is (len(ids) == 1)
        assert name not in found or ids == [found[name]]


def test_a_vocabulary_with_too_few_names_is_refused() -> None:
    tokenizer = byte_level([" Mary John"] * 100, size=280)
    with pytest.raises(TaskError) as refused:
        make_rows(Split.SEARCH, n=1, seed=0, tokenizer=tokenizer, bos=BOS)
    assert str(refused.value) == (
        "Making rows of ioi (search): expected a vocabulary with 8 or more of the 74 names as one token, got 2."
    )


def test_a_prompt_in_which_a_name_comes_too_often_is_refused(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ioi, "TEMPLATES", ("Then {A} and {B} saw {A}, and {S} left the {place} with a {thing} for",) * 15
    )
    with pytest.raises(
        TaskError, match=r"^Reading a prompt of ioi: expected the token of \w+ once and of \w+ twice, "
    ) as r:
        make_rows(Split.SEARCH, n=20, seed=0, tokenizer=tokenizer, bos=BOS)
    assert re.search(r"got others in “Then .* for”\.$", str(r.value))
