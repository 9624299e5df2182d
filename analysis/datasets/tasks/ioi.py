"""Indirect object identification: of two names, the one that comes once is given something by the one that comes twice.

Roles are those of the published work: IO, S1, S1+1, S2, END. Names are of one token each, so how many of them there are
depends on the tokenizer.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from tokenizers import Tokenizer

from analysis.datasets.task import Feature, Split, TaskError, TaskRows

from .drawing import draw
from .ioi_words import NAMES, PLACES, TEMPLATES, THINGS
from .words import WORD_FEATURES

KEY = "ioi"
VERSION = 1
BLOCK = 512
FEWEST_NAMES = 8
# `classes["order"]`: the indirect object is named first, or second
ORDERS = ("ABBA", "BABA")
ROLES = {
    "IO": "the indirect object",
    "S1": "the subject where it first comes",
    "S1+1": "the token after that",
    "S2": "the subject where it comes again",
    "END": "the last token, “to”, at which the indirect object is predicted",
}
# Before this, a name in a prompt, and behind it.
PROBE = ("Then ", " and")


@dataclasses.dataclass(frozen=True)
class Prompt:
    template: int
    order: int  # into ORDERS
    io: str
    s: str
    place: str
    thing: str

    @property
    def text(self) -> str:
        first, second = (self.io, self.s) if self.order == 0 else (self.s, self.io)
        return TEMPLATES[self.template].format(A=first, B=second, S=self.s, place=self.place, thing=self.thing)


def make_rows(split: Split, *, n: int, seed: int, tokenizer: Tokenizer, bos: int) -> TaskRows:
    """`n` different prompts, BOS first, padded on the right; a prompt's split is a function of its text."""
    names = single_token_names(tokenizer)
    if len(names) < FEWEST_NAMES:
        raise TaskError(
            f"Making rows of {KEY} ({split.value}): expected a vocabulary with {FEWEST_NAMES} or more of the "
            f"{len(NAMES)} names as one token, got {len(names)}."
        )
    prompts = draw(
        lambda generator: _block(generator, sorted(names)),
        key=(KEY, VERSION, seed),
        split=split,
        content=lambda prompt: prompt.text.encode(),
        n=n,
        distinct=True,
    )
    return _rows(prompts, names, tokenizer, bos=bos)


def single_token_names(tokenizer: Tokenizer) -> dict[str, int]:
    """The names that are one token, with the space before them or without, in the middle of a text; and that token."""
    before, behind = PROBE
    found = {}
    for name in NAMES:
        encoding = tokenizer.encode(f"{before}{name}{behind}", add_special_tokens=False)
        start, stop = len(before), len(before) + len(name)
        for token, (left, right) in zip(encoding.ids, encoding.offsets, strict=True):
            if left in {start - 1, start} and right == stop:
                found[name] = token
    return found


def _block(generator: np.random.Generator, names: list[str]) -> list[Prompt]:
    templates = generator.integers(len(TEMPLATES), size=BLOCK)
    orders = generator.integers(len(ORDERS), size=BLOCK)
    ios = generator.integers(len(names), size=BLOCK)
    subjects = (ios + generator.integers(1, len(names), size=BLOCK)) % len(names)  # another name, each as likely
    places = generator.integers(len(PLACES), size=BLOCK)
    things = generator.integers(len(THINGS), size=BLOCK)
    return [
        Prompt(template, order, names[io], names[s], PLACES[place], THINGS[thing])
        for template, order, io, s, place, thing in np.stack(
            [templates, orders, ios, subjects, places, things], axis=1
        ).tolist()
    ]


def _rows(prompts: list[Prompt], names: dict[str, int], tokenizer: Tokenizer, *, bos: int) -> TaskRows:
    encodings = tokenizer.encode_batch([prompt.text for prompt in prompts], add_special_tokens=False)
    lines = [[bos, *encoding.ids] for encoding in encodings]
    lengths = np.asarray([len(line) for line in lines])
    tokens = np.zeros((len(lines), lengths.max()), dtype=np.int64)
    for row, line in enumerate(lines):
        tokens[row, : len(line)] = line
    mask = np.arange(tokens.shape[1]) < lengths[:, None]
    io, s = (np.asarray([names[name] for name in who]) for who in zip(*((p.io, p.s) for p in prompts), strict=True))
    at_io, at_s = (mask & (tokens == token[:, None]) for token in (io, s))
    odd = np.flatnonzero((at_io.sum(axis=1) != 1) | (at_s.sum(axis=1) != 2))
    if len(odd):
        raise TaskError(
            f"Reading a prompt of {KEY}: expected the token of {prompts[odd[0]].io} once and of {prompts[odd[0]].s} "
            f"twice, got others in “{prompts[odd[0]].text}”."
        )
    last = lengths - 1
    first_s = at_s.argmax(axis=1)
    end = np.arange(tokens.shape[1]) == last[:, None]
    return TaskRows(
        tokens=tokens,
        mask=mask,
        counted=end,
        labels=np.where(end, io[:, None], 0),
        wrong_labels=np.where(end, s[:, None], 0),
        documents=np.arange(len(prompts)),
        roles={
            "IO": at_io.argmax(axis=1),
            "S1": first_s,
            "S1+1": first_s + 1,
            "S2": tokens.shape[1] - 1 - at_s[:, ::-1].argmax(axis=1),
            "END": last,
        },
        classes={
            "order": np.asarray([prompt.order for prompt in prompts]),
            "template": np.asarray([prompt.template for prompt in prompts]),
        },
    )


def _end_values(labels: np.ndarray, rows: TaskRows) -> np.ndarray:
    return labels[np.arange(len(rows)), rows.roles["END"]]


def _wrong_labels(rows: TaskRows) -> np.ndarray:
    assert rows.wrong_labels is not None, "prompts have a wrong answer"
    return rows.wrong_labels


FEATURES = (
    Feature("io", "The token of the indirect object.", False, lambda rows: _end_values(rows.labels, rows)),
    Feature("s", "The token of the subject.", False, lambda rows: _end_values(_wrong_labels(rows), rows)),
    Feature(
        "order",
        "0 where the indirect object is named first (ABBA), 1 where the subject is (BABA).",
        False,
        lambda rows: rows.classes["order"],
    ),
    Feature("template", "The number of the template, from 0.", False, lambda rows: rows.classes["template"]),
    Feature("io_position", "The position of the indirect object.", False, lambda rows: rows.roles["IO"]),
    Feature("s1_position", "The position where the subject first comes.", False, lambda rows: rows.roles["S1"]),
    Feature("s2_position", "The position where the subject comes again.", False, lambda rows: rows.roles["S2"]),
    Feature("end_position", "The position of the last token.", False, lambda rows: rows.roles["END"]),
    *WORD_FEATURES,
)
