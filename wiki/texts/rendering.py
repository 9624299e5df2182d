"""Texts as HTML, with what they name looked up for who reads them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

from wiki import markdown
from wiki.components.addresses import component_url
from wiki.lib.named import address

from .access import Person
from .addresses import address_of, address_to_write
from .embeds import Embed, Embedded, EmbeddedExperiment, filled
from .experiments import LEAST_DIGITS, digits_named
from .models import TargetForm
from .targets import Resolution, Target, normalise, resolve

# Characters in which a text has said its first sentence.
_BEGINNING = 2_000


def render_text(text: str, *, user: Person, prefix: str, model_slug: str = "") -> markdown.Rendered:
    """A text as safe HTML for `user`; `[[L5H1]]` is a component of `model_slug`. Four queries at most, and for what it
    embeds as many more as a page of each model has.

    `prefix` begins the ids of its headings. Raises UnreadableTextError, which saving has ruled out for revisions.
    """

    return markdown.render(text, prefix=prefix, resolve=_resolver(user, model_slug))


def first_sentence_of(text: str, *, at_most: int, user: Person, model_slug: str) -> str:
    """What a text says first, as plain text of at most so many characters; only its beginning is read."""
    beginning = text if len(text) <= _BEGINNING else text[:_BEGINNING].rpartition("\n\n")[0] or text[:_BEGINNING]
    try:
        return markdown.first_sentence(beginning, at_most=at_most, resolve=_resolver(user, model_slug))
    except markdown.UnreadableTextError:
        return ""


def _resolver(user: Person, model_slug: str) -> markdown.Resolve:
    """Looks up what texts about a model name, for who reads them."""

    def resolve_all(targets: Sequence[markdown.Target]) -> Mapping[markdown.Target, markdown.Resolved]:
        named = {each: target for each in targets if (target := normalise(_words(each), scope=model_slug))}
        (answers,) = _answers([named], resolve(named.values(), user=user))
        return answers

    return resolve_all


def _answers(
    named: Sequence[Mapping[markdown.Target, Target]], found: Mapping[Target, Resolution]
) -> list[dict[markdown.Target, markdown.Resolved]]:
    """What each of several texts is told of its targets when this was found; what they embed is read at once."""
    embeds = [
        {written: embed for written, target in targets.items() if (embed := _embed(written, found.get(target)))}
        for targets in named
    ]
    fillings = filled(embed for of_text in embeds for embed in of_text.values())
    answers = []
    for targets, of_text in zip(named, embeds, strict=True):
        known = {}
        for written, target in targets.items():
            answer = _resolved(written, target, found.get(target))
            embed = of_text.get(written)
            filling = fillings.get(embed) if embed else _why_not_shown(written)
            if answer is not None:
                known[written] = dataclasses.replace(answer, filling=filling) if filling else answer
        answers.append(known)
    return answers


def _embed(written: markdown.Target, found: Resolution | None) -> Embedded | None:
    if written.kind is not markdown.Kind.EMBED or found is None:
        return None
    if found.experiment is not None:
        return EmbeddedExperiment(found.experiment)
    if found.model is None:
        return None
    _, sharp, fragment = written.text.partition("#")
    return Embed(found.model, found.component, sharp + fragment or written.query, written.alone)


def _why_not_shown(written: markdown.Target) -> markdown.Absent | None:
    """Why an embed of what is no part of a model shows nothing."""
    if written.kind is not markdown.Kind.EMBED:
        return None
    if digits_named(written.text):
        return markdown.Absent(
            f"Showing “{written.text}”: expected the beginning of the hash of one experiment, got none's or several's."
        )
    return markdown.Absent(
        f"Showing “{written.text}”: expected a model or a part of one that is here, as in ![[gpt2/L5H1]], or an "
        "experiment, as in ![[x:1a2b3c4d]]; a text is linked to without the “!”."
    )


@dataclasses.dataclass(frozen=True)
class Unrendered:
    """A text, what begins the ids of its headings, and the model whose components it names without a slug."""

    text: str
    prefix: str
    model_slug: str


def render_texts(
    texts: Sequence[Unrendered], *, user: Person, also: Iterable[Target] = ()
) -> tuple[list[markdown.Rendered], dict[Target, Resolution]]:
    """Several texts as safe HTML for `user`, with three queries for all of them at most and those of what they
    embed; and what is there of all that they name and of the targets `also`.

    Raises UnreadableTextError, which saving has ruled out for revisions.
    """
    named = [_named(each.text, each.model_slug) for each in texts]
    found = resolve({*also, *(target for targets in named for _, target in targets)}, user=user)
    answers = _answers([dict(targets) for targets in named], found)
    rendered = [
        _render(each.text, each.prefix, tuple(known.items())) for each, known in zip(texts, answers, strict=True)
    ]
    return rendered, found


# A page of a part shows the same few texts to everybody: reading one again costs a millisecond.
@functools.lru_cache(maxsize=1000)
def _named(text: str, model_slug: str) -> list[tuple[markdown.Target, Target]]:
    """What a text names, as written and as it is looked up."""
    pairs = ((each, normalise(_words(each), scope=model_slug)) for each in markdown.targets_of(text))
    return [(written, target) for written, target in pairs if target is not None]


@functools.lru_cache(maxsize=1000)
def _render(
    text: str, prefix: str, answers: tuple[tuple[markdown.Target, markdown.Resolved], ...]
) -> markdown.Rendered:
    return markdown.render(text, prefix=prefix, resolve=lambda _: dict(answers))


def _words(target: markdown.Target) -> str:
    return f"@{target.text}" if target.kind is markdown.Kind.MENTION else target.text


def _resolved(written: markdown.Target, target: Target, found: Resolution | None) -> markdown.Resolved | None:
    """Where a target lies and what it is called."""
    exists = markdown.State.EXISTS
    if found is None:
        return _missing(written, target)
    if found.component is not None:
        assert found.model is not None
        return markdown.Resolved(component_url(found.model, found.component), written.text, exists)
    if found.user is not None:
        return markdown.Resolved(found.user.get_absolute_url(), f"@{found.user.username}", exists)
    if found.experiment is not None:
        label = f"x:{found.experiment.hash[:LEAST_DIGITS]}"
        return markdown.Resolved(found.experiment.get_absolute_url(), label, exists)
    if found.model is not None:
        return markdown.Resolved(found.model.get_absolute_url(), written.text, exists)
    assert found.page is not None
    return markdown.Resolved(address_of(found.page), written.text, exists)


def _missing(written: markdown.Target, target: Target) -> markdown.Resolved | None:
    """A missing title leads to where it can be written, an experiment to where it is said whether none begins so, or
    several."""
    if digits := digits_named(written.text):
        href = address("experiment-by-beginning", digits)
    elif target.form == TargetForm.TITLE:
        href = address_to_write(written.text)
    else:
        return None
    return markdown.Resolved(href, written.text, markdown.State.MISSING)
