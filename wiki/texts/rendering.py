"""Texts as HTML, with what they name looked up for who reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from wiki import markdown
from wiki.components.addresses import component_url

from .access import Person
from .addresses import address_of, address_to_write
from .embeds import Embed, filled
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
        return answers_of(named, resolve(named.values(), user=user))

    return resolve_all


def answers_of(
    named: Mapping[markdown.Target, Target], found: Mapping[Target, Resolution]
) -> dict[markdown.Target, markdown.Resolved]:
    """What a text is told of its targets, embeds filled in, when this was found of them."""
    answers = {each: _resolved(each, target, found.get(target)) for each, target in named.items()}
    known = {each: answer for each, answer in answers.items() if answer is not None}
    embeds = {each: embed for each in known if (embed := _embed(each, found.get(named[each])))}
    fillings = filled(embeds.values())
    for each, embed in embeds.items():
        if embed in fillings:
            known[each] = dataclasses.replace(known[each], filling=fillings[embed])
    return known


def _embed(written: markdown.Target, found: Resolution | None) -> Embed | None:
    if written.kind is not markdown.Kind.EMBED or found is None or found.model is None:
        return None
    return Embed(found.model, found.component, written.query, written.alone)


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
