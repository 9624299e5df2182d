"""A site with somebody of each kind and a text in each state, whose words give them away."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.contrib.auth.models import AnonymousUser

from tests.pages.building import build_measured_model
from tests.pages.building_scrubs import build_experiment, finish_run
from tests.pages.building_texts import build_prompt
from wiki.accounts.access_keys import make_key
from wiki.accounts.groups import create_group
from wiki.accounts.invitations import invite
from wiki.accounts.models import Role, User
from wiki.coverage.working import take_up
from wiki.experiments.scrubs import run_again
from wiki.following.digests import token_of
from wiki.following.models import Notification
from wiki.moderation.models import Report
from wiki.moderation.reports import report_text, resolve_report
from wiki.pages.hypothesis_form import as_yaml
from wiki.texts.anchors import CellAnchor, fields_of
from wiki.texts.drafts import draft_target, keep_draft
from wiki.texts.models import Kind, Page, TargetForm
from wiki.texts.moderation import hide, retract, withhold_revision
from wiki.texts.targets import Target
from wiki.texts.watching import watch
from wiki.texts.writing import create_page, rename_article, revert_to, save_revision

CIRCUIT = "```circuit\nmodel: tiny\nL0H1 -> L1H2\n```"


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
    closed = User.objects.create_user(words_of("closed"), role=Role.RESEARCHER)
    model = build_measured_model()
    for person in (closed, other):
        take_up(person, model.slug, "L1H2")
    closed.is_active = False
    closed.save()
    articles = {state: _article(author, state, watched_by=other) for state in ("published", "hidden", "retracted")}
    beneath = create_page(author, Kind.TALK, words_of("beneath"), parent=articles["hidden"])
    notes = {}
    for head, (state, page) in enumerate(articles.items()):
        said = f"Of a note: @{words_of(state)}"
        notes[f"{state}-note"] = create_page(author, Kind.NOTE, said, about="tiny/L1H2", fields=_orphaned(state))
        create_page(author, Kind.SUMMARY, f"Of a summary: {words_of(state)}", about=f"tiny/L1H{head}")
        create_page(other, Kind.TALK, "Yes.", parent=page)
    # “other” is told what came of it, and no word of what it was
    reported = report_text(articles["hidden"], other, reason="An insult")
    for page in Page.objects.filter(parent=None).exclude(current__text__contains=words_of("published")):
        if words_of("hidden") in page.current.text:  # type: ignore[union-attr] (every page has one)
            hide(page, moderator, reason=f"For {words_of('hidden')}")
        elif page.kind in {Kind.NOTE, Kind.TALK}:
            retract(page, author, reason="Wrong")
        else:
            retract(page, moderator, reason="Wrong")
    withheld = articles["published"]
    save_revision(withheld, author, words_of("withheld"), base_version=2, summary=words_of("withheld"))
    revert_to(withheld, author, 2, base_version=3)
    withhold_revision(withheld, moderator, 3, reason="Insults")
    keep_draft(author, draft_target(articles["published"]), words_of("draft"), page=articles["published"])
    resolve_report(reported, moderator, Report.Outcome.HIDDEN, answer="It was one.")
    report = report_text(articles["hidden"], author, reason=f"For {words_of('hidden')}")
    # the answer is for its reporter, the audit's entry of it for moderators
    answered = report_text(articles["published"], moderator, reason="An insult in revision 3")
    resolve_report(answered, moderator, Report.Outcome.OTHER, answer=f"For {words_of('withheld')}")
    experiment = build_experiment(model, author, title="Induction")
    run = run_again(experiment, user=author)
    finish_run(experiment.runs.order_by("pk")[0])
    surveys = {survey.dataset: survey.hash for survey in model.surveys.all()}
    words = {
        "token": invite(moderator, email="", role=Role.READER)[1],
        "access_key": str(make_key(author, name="Mine", days=30)[0].pk),
        "group": create_group("Tests", lead=author, created_by=moderator).slug,
        "prompt": build_prompt(model).hash,
        "survey": surveys["bundled-texts"],
        "beginning": surveys["sotu"][:8],
        "natural_survey": surveys["sotu"],
        "hash": "0" * 64,
        "experiment": experiment.hash,
        "experiment_digits": experiment.hash[:8],
        "run": str(run.pk),
        "question": as_yaml(experiment.spec),
        "report": str(report.pk),
        "told": str(Notification.objects.filter(receiver=other, page=articles["published"]).latest("pk").pk),
        "unsubscribing": token_of(other),
    }
    by_state = {
        **{
            state: {"key": str(page.key), "title": page.title, "person": "author"} | _place(page)
            for state, page in articles.items()
        },
        **{state: _place(note) for state, note in notes.items()},
        "beneath": _place(beneath),
        "open": {"person": "other"},
        "gone": {"person": "gone"},
    }
    return World(people=people, words=words, by_state=by_state)


def _orphaned(state: str) -> dict[str, Any]:
    """An anchor on a text that is not there."""
    words, tokens = words_of(state), "0" * 64
    return fields_of(CellAnchor("sotu.999", 5, 3, "", query_token=words, key_token=words, tokens=tokens, survey=""))


def _place(page: Page) -> dict[str, str]:
    return {"page": str(page.pk), "version": str(Page.objects.get(pk=page.pk).version)}


def _article(author: User, state: str, *, watched_by: User) -> Page:
    """Its title gives it away too, its key not: an address may be echoed."""
    page = create_page(author, Kind.ARTICLE, f"Of an article: {words_of(state)}", title=f"Once {words_of(state)}")
    page = rename_article(page, author, f"About what is {state}")
    watch(watched_by, Target(TargetForm.ADDRESS, f"a/{page.pk}"))
    text = f"Of an article, edited: [[{words_of(state)}]]\n\n{CIRCUIT}"
    save_revision(page, author, text, base_version=1, summary=words_of(state))
    return Page.objects.get(pk=page.pk)
