"""Texts as HTML, with what they name looked up for who reads them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

from wiki import markdown
from wiki.components.addresses import component_url

from .access import Person
from .addresses import address_of, address_to_write
from .models import TargetForm
from .targets import Resolution, Target, normalise, resolve


def render_text(text: str, *, user: Person, prefix: str, model_slug: str = "") -> markdown.Rendered:
    """A text as safe HTML for `user`; `[[L5H1]]` is a component of `model_slug`. Three queries at most.

    `prefix` begins the ids of its headings. Raises UnreadableTextError, which saving has ruled out for revisions.
    """

    def resolve_all(targets: Sequence[markdown.Target]) -> Mapping[markdown.Target, markdown.Resolved]:
        named = {each: target for each in targets if (target := normalise(_words(each), scope=model_slug))}
        found = resolve(named.values(), user=user)
        answers = {each: _resolved(each, target, found.get(target)) for each, target in named.items()}
        return {each: answer for each, answer in answers.items() if answer is not None}

    return markdown.render(text, prefix=prefix, resolve=resolve_all)


@dataclasses.dataclass(frozen=True)
class Unrendered:
    """A text, what begins the ids of its headings, and the model whose components it names without a slug."""

    text: str
    prefix: str
    model_slug: str


def render_texts(
    texts: Sequence[Unrendered], *, user: Person, also: Iterable[Target] = ()
) -> tuple[list[markdown.Rendered], dict[Target, Resolution]]:
    """Several texts as safe HTML for `user`, with three queries for all of them at most; and what is there of all that
    they name and of the targets `also`.

    Raises UnreadableTextError, which saving has ruled out for revisions.
    """
    named = [_named(each.text, each.model_slug) for each in texts]
    found = resolve({*also, *(target for targets in named for _, target in targets)}, user=user)
    rendered = []
    for each, targets in zip(texts, named, strict=True):
        answers = ((written, _resolved(written, target, found.get(target))) for written, target in targets)
        known = tuple((written, answer) for written, answer in answers if answer is not None)
        rendered.append(_render(each.text, each.prefix, known))
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
    """Where a target lies and what it is called; a missing title leads to where it can be written."""
    exists = markdown.State.EXISTS
    if found is None:
        is_title = target.form == TargetForm.TITLE
        return (
            markdown.Resolved(address_to_write(written.text), written.text, markdown.State.MISSING)
            if is_title
            else None
        )
    if found.component is not None:
        assert found.model is not None
        return markdown.Resolved(component_url(found.model, found.component), written.text, exists)
    if found.model is not None:
        return markdown.Resolved(found.model.get_absolute_url(), written.text, exists)
    if found.user is not None:
        return markdown.Resolved(found.user.get_absolute_url(), f"@{found.user.username}", exists)
    assert found.page is not None
    return markdown.Resolved(address_of(found.page), written.text, exists)
