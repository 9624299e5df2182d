"""What a crowd of people writes: texts, revisions, links and watches, planned alike for the same numbers.

On a site of any size the hot pages have more of everything than one page shows, so that a page of a list is as long on
a small site as on a large one.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

from .data import MODEL

N_LAYERS, N_HEADS, N_NEURONS = 30, 9, 1536
# Heads about which, and an article about and to which, much is written; a thread with many replies.
HOT_HEADS = ("L18H6", "L5H1", "L12H3")
HOT_ARTICLE, HOT_THREAD = 1, 2  # ids of pages
HOT_TITLE = "Induction heads"
# People by number; of these some are known for something.
MODERATOR, HOT_PERSON, READER = 0, 1, 2
WATCHERS_OF_THE_MODEL = (READER,)
N_WATCHED = 150  # by the reader
HOT_TAG = "much-used"
TAGS = ("circuit", *(f"topic-{n}" for n in range(40)))
RARE_WORD, COMMON_WORD = "quixotic", "attention"
SHARES = {"article": 0.10, "summary": 0.15, "note": 0.45, "thread": 0.10, "reply": 0.20}


@dataclasses.dataclass(frozen=True)
class Planned:
    """A page as it is begun, and what becomes of it."""

    pk: int
    kind: str  # a word of `wiki.texts.models.Kind`
    author: int
    title: str = ""
    component: str | None = None  # empty: the model as a whole; None: about no part
    parent: int | None = None
    tags: tuple[str, ...] = ()
    is_anchored: bool = False  # to a cell of a pattern
    editors: tuple[int, ...] = ()  # of its revisions from the second on
    visibility: str = "published"

    @property
    def about(self) -> str:
        return "" if self.component is None else "/".join(filter(None, [MODEL, self.component]))


@dataclasses.dataclass(frozen=True)
class Passage:
    """A text with its links as they are written, in their order."""

    text: str
    links: tuple[tuple[str, str], ...]  # kind and words


@dataclasses.dataclass(frozen=True)
class Save:
    """Somebody saves a revision; of its number 1 the page is made."""

    page: Planned
    n: int
    author: int
    at: float  # 0 the first save of all, 1 now


def username(person: int) -> str:
    return f"person-{person}"


class Crowd:
    """All that is written: `pages` in the order of their ids, and `saves` in the order of their time."""

    def __init__(self, n_texts: int, n_people: int) -> None:
        self.n_texts, self.n_people = n_texts, n_people
        self._random = random.Random(n_texts)  # noqa: S311 (nothing secret)
        self._components = _in_order_of_fame()
        self._titles: list[str] = []
        self._threads: list[Planned] = []
        self.pages: list[Planned] = []
        for pk in range(1, n_texts + 1):
            self.pages.append(self._plan(pk))
        words = random.Random(0)  # noqa: S311
        self._words = [
            "".join(words.choice(_SYLLABLES) for _ in range(words.randint(2, 4))) for _ in range(_VOCABULARY)
        ]
        # as often as words of a language: the n-th one by 1/n
        self._weights = _zipf(_VOCABULARY)
        self._sentences = [self._sentence(words) for _ in range(min(20_000, 20 * n_texts))]

    def of_kind(self, kind: str) -> list[Planned]:
        """The published pages of a kind."""
        return [page for page in self.pages if page.kind == kind and page.visibility == "published"]

    def some_words(self, chosen: random.Random, n: int) -> list[str]:
        """Words as they come in texts, as often as there."""
        return chosen.choices(self._words, cum_weights=self._weights, k=n)

    def usual_words(self, chosen: random.Random, n: int) -> list[str]:
        """Words that are in many texts."""
        return chosen.sample(self._words[:12], n)

    def saves(self) -> list[Save]:
        saves = []
        for page in self.pages:
            chosen, begun = random.Random(page.pk), page.pk / (self.n_texts + 1)  # noqa: S311
            times = sorted(begun + (1 - begun) * chosen.random() for _ in page.editors)
            saves.append(Save(page, 1, page.author, begun))
            saves += [Save(page, 2 + n, page.editors[n], at) for n, at in enumerate(times)]
        return sorted(saves, key=lambda save: (save.at, save.page.pk, save.n))

    def watches(self) -> Iterator[tuple[int, str]]:
        """Who watches what before anything is written: person and target."""
        chosen = random.Random(1)  # noqa: S311
        for person in WATCHERS_OF_THE_MODEL:
            yield person, MODEL
        for person in range(self.n_people):
            n = N_WATCHED - 20 if person == READER else 5
            heads = {f"L{chosen.randrange(N_LAYERS)}H{chosen.randrange(N_HEADS)}" for _ in range(2 * n)}
            heads = set(sorted(heads - set(HOT_HEADS))[:n])
            heads |= {head for head in HOT_HEADS if person == READER or chosen.random() < 0.03}
            yield from ((person, f"{MODEL}/{head}") for head in sorted(heads))
        yield from ((READER, f"@{username(person)}") for person in range(min(10, self.n_people)) if person != READER)

    def passage(self, page: Planned, n: int) -> Passage:
        """What revision `n` of a page says: a later one has a sentence more than the first, and maybe a link."""
        chosen = random.Random(page.pk)  # noqa: S311
        parts: list[str] = []
        links: list[tuple[str, str]] = []
        if page.kind in ("article", "summary") and chosen.random() < 0.5:
            parts.append(f"## {chosen.choice(self._words).capitalize()} {page.pk}")
        n_paragraphs = {"article": 5, "summary": 2}.get(page.kind, 1)
        n_links = chosen.choice((1, 2, 3, 4, 5)) if page.kind != "article" else chosen.randint(2, 6)
        for paragraph in range(n_paragraphs):
            sentences = [chosen.choice(self._sentences) for _ in range(chosen.randint(2, 5))]
            for _ in range(n_links // n_paragraphs + (paragraph < n_links % n_paragraphs)):
                sentence, link = self._linking(page, chosen)
                sentences.insert(chosen.randrange(len(sentences) + 1), sentence)
                links.append(link)
            parts.append(" ".join(sentences))
        if page.pk % 7 == 0:
            parts.append(r"It copies $\sum_j A_{ij} v_j$ of what it reads.")
        if chosen.random() < max(0.001, 40 / self.n_texts):
            parts.append(f"A {RARE_WORD} case.")
        if page.pk % 11 == 0:
            parts.append("- first\n- second, **and so on**")
        if n > 1:
            again = random.Random(page.pk * 1000 + n)  # noqa: S311
            parts.append(f"Looked at again: {again.choice(self._sentences)}")
            if again.random() < 0.25:
                sentence, link = self._linking(page, again)
                parts.append(sentence)
                links.append(link)
        # in the order in which they are read: a sentence may have been put before another one with a link
        text = "\n\n".join(parts)
        return Passage(text, tuple(sorted(dict.fromkeys(links), key=lambda link: text.index(_written(link)))))

    def _linking(self, page: Planned, chosen: random.Random) -> tuple[str, tuple[str, str]]:
        """A sentence with a link, and the link."""
        what, kind = chosen.random(), "mentions"
        if what < max(0.01, 60 / (3 * self.n_texts)) and page.pk != HOT_ARTICLE:
            words = HOT_TITLE
        elif what < 0.3:
            title = chosen.choice(self._titles)
            words = title if chosen.random() < 0.8 else f"{chosen.choice(_SYLLABLES)} {chosen.randrange(3000)}"
        elif what < 0.36:
            words = f"@{username(chosen.randrange(self.n_people))}"
        elif what < 0.42:
            words = f"a/{chosen.randrange(1, self.n_texts + 1)}"
        else:
            head = chosen.random()
            is_hot = head < max(0.02, 3 * 60 / (3 * self.n_texts))
            part = chosen.choice(HOT_HEADS) if is_hot else self._any_part(chosen) or "L0"
            words = part if page.component is not None else f"{MODEL}/{part}"
            if "circuit" in page.tags or chosen.random() < 0.1:
                kind = "part-of" if "circuit" in page.tags else chosen.choice(("same-role-as", "evidence-for"))
        link = (kind, words)
        return f"{chosen.choice(self._words).capitalize()} {_written(link)} {chosen.choice(self._words)}.", link

    def _sentence(self, chosen: random.Random) -> str:
        words = chosen.choices(self._words, cum_weights=self._weights, k=chosen.randint(6, 14))
        if chosen.random() < 0.1:
            words.insert(2, COMMON_WORD)
        return f"{' '.join(words).capitalize()}."

    def _plan(self, pk: int) -> Planned:
        chosen = self._random
        author = (
            HOT_PERSON if chosen.random() < max(0.02, min(0.3, 250 / self.n_texts)) else chosen.randrange(self.n_people)
        )
        what = chosen.choices(list(SHARES), list(SHARES.values()))[0]
        n_edits = chosen.choices([0, chosen.randint(1, 3), chosen.randint(4, 15)], [80, 16, 4])[0]
        if pk == HOT_ARTICLE:
            what, n_edits = "article", max(60, self.n_texts // 200)
        elif pk == HOT_THREAD:
            what = "thread"
        by_all = what in ("article", "summary")
        editors = tuple(chosen.randrange(self.n_people) if by_all else author for _ in range(n_edits))
        fate = 1.0 if pk <= HOT_THREAD else chosen.random()
        visibility = "hidden" if fate < 0.01 else "retracted" if fate < 0.03 and not by_all else "published"
        kind = "talk" if what in ("thread", "reply") else what
        page = Planned(pk, kind, author, editors=editors, visibility=visibility)
        return {
            "article": self._article,
            "summary": self._summary,
            "note": self._note,
            "thread": self._thread,
            "reply": self._reply,
        }[what](page)

    def _article(self, page: Planned) -> Planned:
        title = HOT_TITLE if page.pk == HOT_ARTICLE else f"{_SYLLABLES[page.pk % 31].capitalize()} effect {page.pk}"
        self._titles.append(title)
        is_hot = self._random.random() < self._share(1000, "article", at_least=60)
        tags = {*self._random.sample(TAGS, 2), *([HOT_TAG] if is_hot else [])}
        return dataclasses.replace(page, title=title, tags=tuple(sorted(tags)))

    def _summary(self, page: Planned) -> Planned:
        return dataclasses.replace(page, component=next(self._components))

    def _note(self, page: Planned) -> Planned:
        is_hot = self._random.random() < 3 * self._share(300, "note", at_least=20)
        component = self._random.choice(HOT_HEADS) if is_hot else self._any_part(self._random)
        # more than a page of them anywhere; two notes in five are on heads
        anchored = max(0.06, 150 / (0.4 * SHARES["note"] * self.n_texts))
        return dataclasses.replace(
            page, component=component, is_anchored="H" in component and self._random.random() < anchored
        )

    def _thread(self, page: Planned) -> Planned:
        page = dataclasses.replace(page, title=f"A question about {_SYLLABLES[page.pk % 29]} {page.pk}")
        begun = [each for each in self.pages[-20:] if each.kind != "talk"]
        if page.pk == HOT_THREAD or self._random.random() < self._share(200, "thread", at_least=60) or not begun:
            page = dataclasses.replace(page, parent=HOT_ARTICLE)
        elif self._random.random() < 0.5:
            page = dataclasses.replace(page, component=self._any_part(self._random))
        else:
            page = dataclasses.replace(page, parent=self._random.choice(begun).pk)
        self._threads.append(page)
        return page

    def _reply(self, page: Planned) -> Planned:
        is_hot = self._random.random() < self._share(200, "reply", at_least=60)
        return dataclasses.replace(page, parent=HOT_THREAD if is_hot else self._random.choice(self._threads).pk)

    def _share(self, n: int, of: str, *, at_least: int) -> float:
        """The chance of one of its kind, that there are about n of a hundred thousand texts."""
        return max(at_least, n * self.n_texts / 100_000) / (self.n_texts * SHARES[of])

    def _any_part(self, chosen: random.Random) -> str:
        layer, what = chosen.randrange(N_LAYERS), chosen.random()
        if what < 0.4:
            return f"L{layer}H{chosen.randrange(N_HEADS)}"
        if what < 0.9:
            return f"L{layer}N{chosen.randrange(N_NEURONS)}"
        return f"L{layer}" if what < 0.95 else ""


_VOCABULARY = 8_000
_SYLLABLES = [
    f"{start}{vowel}{end}" for start in ("b", "d", "g", "k", "m", "r", "t", "v") for vowel in "aeo" for end in "lmnr"
]


def _zipf(n: int) -> list[float]:
    """Cumulated weights, the k-th word's 1/k."""
    total, found = 0.0, []
    for place in range(1, n + 1):
        total += 1 / place
        found.append(total)
    return found


def _in_order_of_fame() -> Iterator[str]:
    """The parts in the order in which somebody sums them up: hot heads, all heads, layers, every second neuron."""
    heads = (f"L{layer}H{head}" for layer in range(N_LAYERS) for head in range(N_HEADS))
    yield from dict.fromkeys([*HOT_HEADS, *heads])
    yield from (f"L{layer}" for layer in range(N_LAYERS))
    yield from (f"L{layer}N{neuron}" for neuron in range(0, N_NEURONS, 2) for layer in range(N_LAYERS))


def _written(link: tuple[str, str]) -> str:
    kind, words = link
    if words.startswith("@"):
        return words
    return f"[[{words}]]" if kind == "mentions" else f"[[{kind}::{words}]]"
