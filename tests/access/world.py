"""A site with somebody of each kind and a text in each state, whose words give them away."""

from __future__ import annotations

import dataclasses

from django.contrib.auth.models import AnonymousUser

from tests.pages.building import build_measured_model
from tests.pages.building_texts import build_prompt
from wiki.accounts.groups import create_group
from wiki.accounts.invitations import invite
from wiki.accounts.models import Role, User
from wiki.texts.drafts import draft_target, keep_draft
from wiki.texts.models import Kind, Page
from wiki.texts.moderation import hide, retract
from wiki.texts.writing import create_page, save_revision


@dataclasses.dataclass(frozen=True)
class World:
    people: dict[str, User | AnonymousUser]
    # what rows have in braces, in every state; and what is added in each
    words: dict[str, str]
    by_state: dict[str, dict[str, str]]

    def words_in(self, state: str) -> dict[str, str]:
        return self.words | self.by_state.get(state, {})


def words_of(state: str) -> str:
    """What is in the text of that state and nowhere else."""
    return f"wordsof{state}"


def build_world() -> World:
    """Written by “author” through the services; “other” replies."""
    author, other, moderator = (
        User.objects.create_user(name, role=role)
        for name, role in (("author", Role.RESEARCHER), ("other", Role.RESEARCHER), ("moderator", Role.MODERATOR))
    )
    people: dict[str, User | AnonymousUser] = {
        "anonymous": AnonymousUser(),
        "reader": User.objects.create_user("reader", role=Role.READER),
        "researcher": User.objects.create_user("researcher", role=Role.RESEARCHER),
        "author": author,
        "other": other,
        "moderator": moderator,
    }
    User.objects.create_user("gone", is_active=False)
    articles = {state: _article(author, state) for state in ("published", "hidden", "retracted")}
    beneath = create_page(author, Kind.TALK, words_of("beneath"), parent=articles["hidden"])
    notes = {}
    for head, (state, page) in enumerate(articles.items()):
        notes[f"{state}-note"] = create_page(author, Kind.NOTE, f"Of a note: {words_of(state)}", about="tiny/L1H2")
        create_page(author, Kind.SUMMARY, f"Of a summary: {words_of(state)}", about=f"tiny/L1H{head}")
        create_page(other, Kind.TALK, "Yes.", parent=page)
    keep_draft(author, draft_target(articles["published"]), words_of("draft"), page=articles["published"])
    for page in Page.objects.filter(parent=None).exclude(current__text__contains=words_of("published")):
        if words_of("hidden") in page.current.text:  # type: ignore[union-attr] (every page has one)
            hide(page, moderator, reason=f"For {words_of('hidden')}")
        elif page.kind in {Kind.NOTE, Kind.TALK}:
            retract(page, author, reason="Wrong")
        else:
            retract(page, moderator, reason="Wrong")
    model = build_measured_model()
    surveys = {survey.dataset: survey.hash for survey in model.surveys.all()}
    words = {
        "token": invite(moderator, email="", role=Role.READER)[1],
        "group": create_group("Tests", lead=author, created_by=moderator).slug,
        "prompt": build_prompt(model).hash,
        "survey": surveys["bundled-texts"],
        "natural_survey": surveys["sotu"],
        "hash": "0" * 64,
    }
    by_state = {
        **{
            state: {"page": str(page.pk), "key": str(page.key), "title": page.title} for state, page in articles.items()
        },
        **{state: {"page": str(note.pk)} for state, note in notes.items()},
        "beneath": {"page": str(beneath.pk)},
        "open": {"person": "other"},
        "closed": {"person": "gone"},
    }
    return World(people=people, words=words, by_state=by_state)


def _article(author: User, state: str) -> Page:
    """Its title gives it away too, its key not: an address may be echoed."""
    page = create_page(author, Kind.ARTICLE, f"Of an article: {words_of(state)}", title=f"About what is {state}")
    save_revision(page, author, f"Of an article, edited: {words_of(state)}", base_version=1, summary=words_of(state))
    return Page.objects.get(pk=page.pk)
