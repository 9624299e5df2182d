"""A site in which every column that holds a person's text holds vectors, and where its pages are."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from analysis.schema import content_hash
from tests.markdown.vectors import xss_vectors
from tests.pages import building, building_texts
from tests.pages.building import build_measured_model, build_model
from tests.pages.building_scrubs import question_about, random_run
from tests.pages.building_texts import build_prompt
from wiki.accounts.models import AccessKey, Invitation, ResearchGroup, Role, User
from wiki.components.models import LanguageModel
from wiki.experiments.models import Experiment, Job, Measurement, NamedPart, Run
from wiki.following.models import Notification, Reason
from wiki.moderation.models import Report
from wiki.texts.anchors import CellAnchor, FigureAnchor, SpanAnchor, TokenAnchor, fields_of
from wiki.texts.models import (
    Alias,
    AuditEntry,
    Draft,
    Kind,
    Link,
    LinkKind,
    Page,
    Revision,
    Tag,
    TargetForm,
    Visibility,
    Watch,
    WithheldRevision,
)
from wiki.texts.writing import create_page, save_revision

from .fields import chunks_of, marked, vectors_of


@dataclasses.dataclass
class HostileWorld:
    viewer: User  # an admin, who sees everything
    addresses: list[str] = dataclasses.field(default_factory=list)  # of pages that show what is in the columns


def build_hostile_world(monkeypatch: pytest.MonkeyPatch) -> HostileWorld:
    """By the services where they take a vector, else into rows: what is shown is judged, not what is refused."""
    text = [marked("texts.Revision.text", *each) for each in enumerate(xss_vectors()) if "\0" not in each[1]]
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    world = HostileWorld(User.objects.create_user("charlie", role=Role.ADMIN))
    tokens = [vector for vector in text if "<" in vector]
    monkeypatch.setattr(building, "WORDS", ("<bos>", *tokens[:8]))
    monkeypatch.setattr(building_texts, "TOKENS", ("<bos>", *tokens[8:14]))
    model = build_measured_model()
    _fill_people(world, alice)
    _fill_models(world, model)
    _fill_experiments(world, model, alice)
    _fill_texts(world, alice, text)
    article = _fill_articles(world, alice, text)
    _fill_revisions(world, alice, article)
    _fill_anchors(world, alice, article)
    _fill_moderation(world, alice)
    _fill_own(world, article)
    return world


def _fill_people(world: HostileWorld, alice: User) -> None:
    names = vectors_of("accounts.User.shown_name")
    people = User.objects.bulk_create(
        User(username=f"person-{n // 8:02}-{n % 8}", shown_name=name) for n, name in enumerate(names)
    )
    Watch.objects.bulk_create(Watch(user=world.viewer, target=f"@{each.username}") for each in people)
    blocked, emails = chunks_of("accounts.User.blocked_because"), vectors_of("accounts.User.email")
    until = timezone.now() + timedelta(days=1)
    for person, reason in zip(people, blocked, strict=False):
        person.blocked_until, person.blocked_because = until, reason
        world.addresses += [f"/people/{person.username}/", f"/people/{person.username}/block/"]
    for person, email in zip(people, emails, strict=True):
        person.email = email
    User.objects.bulk_update(people, ["email", "blocked_until", "blocked_because"])
    ResearchGroup.objects.bulk_create(
        ResearchGroup(slug=f"group-{n}", name=name, lead=alice)
        for n, name in enumerate(vectors_of("accounts.ResearchGroup.name"))
    )
    Invitation.objects.bulk_create(
        Invitation(token_sha256=f"{n}", invited_by=alice, email=email, expires_at=until)
        for n, email in enumerate(vectors_of("accounts.Invitation.email"))
    )
    AccessKey.objects.bulk_create(
        AccessKey(secret_sha256=f"{n}", owner=world.viewer, name=name, expires_at=until)
        for n, name in enumerate(vectors_of("accounts.AccessKey.name"))
    )
    ResearchGroup.objects.get(slug="group-0").members.add(*people[:10], through_defaults={"added_by": alice})
    world.addresses += ["/groups/", "/groups/group-0/", "/accounts/invitations/", "/accounts/keys/", "/people/alice/"]
    world.addresses += [f"/search/?q=person-{n:02}&kind=person" for n in range(15)]


def _fill_models(world: HostileWorld, model: LanguageModel) -> None:
    rows = zip(
        vectors_of("components.LanguageModel.title"),
        vectors_of("components.LanguageModel.source"),
        vectors_of("components.LanguageModel.licence"),
        strict=True,
    )
    titles = list(rows)
    model.title, model.source, model.licence = titles[0]
    model.save()
    for n, (title, source, licence) in enumerate(titles[1:]):
        other = build_model(f"model-{n}")
        other.title, other.source, other.licence = title, source, licence
        other.save()
        world.addresses += [f"/m/model-{n}/"] if n < 10 else []
    parts = chunks_of("experiments.Measurement.spec")
    states = [*(("queued", part) for part in parts), ("done", "x"), ("failed", parts[0][1:]), ("running", parts[1][1:])]
    for state, part in states:
        prompt = build_prompt(model, part, state=state, error="x" if state == "failed" else "")
        world.addresses += [f"/m/tiny/text/{prompt.hash}/"]
        if state == "done":
            world.addresses += [f"/m/tiny/L1H2/?text={prompt.hash}", f"/m/tiny/L1N5/?text={prompt.hash}"]
    Job.objects.filter(state="failed").update(error=vectors_of("experiments.Job.error")[0])
    world.addresses += ["/", "/m/tiny/", "/m/tiny/?map=coverage", "/m/tiny/wanted/", "/models/add/", "/jump/?q=nothing"]
    world.addresses += ["/m/tiny/L1/", "/m/tiny/L1KV1/", "/m/tiny/L1N5/", "/m/tiny/L1N5/rows/0/", "/m/tiny/L1H2/"]
    world.addresses += ["/m/tiny/text/", "/m/tiny/text/kept/bundled-texts.0/", "/m/tiny/L1H2/?text=bundled-texts.0&q=5"]
    world.addresses += [f"/s/{survey.hash}/" for survey in model.surveys.all()]
    assert Measurement.objects.count() > 10


def _fill_experiments(world: HostileWorld, model: LanguageModel, alice: User) -> None:
    """Each an upload, whose figures are what a notebook sent; ten of them are looked at."""
    titles, nodes = vectors_of("experiments.Experiment.title"), vectors_of("experiments.NamedPart.node")
    parts, devices = vectors_of("experiments.Experiment.spec"), vectors_of("experiments.Run.device")
    codes, said = vectors_of("experiments.Run.code"), vectors_of("experiments.Run.uploaded")
    question = question_about(model)
    run = random_run(question, share=0.5)
    result = run.result.to_json()
    for n, title in enumerate(titles):
        # a title is no part of what is asked, so the seed makes each another question
        spec = {**question.to_json(), "seed": n}
        here = [part for part in parts[n % 10 :: 10] if len(part) <= 200]
        spec["nodes"] = [*spec["nodes"], {"name": "x", "parent": "out", "parts": here, "sampler": {"shared": here[0]}}]
        experiment = Experiment.objects.create(
            hash=content_hash(spec), model=model, task=question.task, title=title, spec=spec, asked_by=alice
        )
        words = said[n % 10 :: 10]
        worst = [
            {**run.worst[0], "text": word, "swapped_in": [{"draw": word, "row": 1, "text": word}]} for word in words
        ]
        figures = {**result, "warnings": words}
        Run.objects.create(
            experiment=experiment,
            asked_by=alice,
            seed=n,
            origin=Run.Origin.UPLOADED,
            artifact=experiment.hash,
            finished_at=timezone.now(),
            device=devices[n % len(devices)],
            code=codes[n % len(codes)] if codes else "",
            recovered=0.5,
            uploaded={
                "result": figures,
                "worst": worst,
                "searched": {**run.searched.to_json(), "worst": [{**run.searched.worst[0], "text": words[0]}]},
                "about": {**run.about, "device": words[0], "code": words[-1]},
            },
        )
        NamedPart.objects.create(
            experiment=experiment, model=model, component="L1H2", role="mapped", node=nodes[n % len(nodes)]
        )
        world.addresses += [experiment.get_absolute_url(), f"/x/new/?from={experiment.hash}"] if n < 10 else []
    world.addresses += [f"/x/?page={n}" for n in range(1, 2 + len(titles) // 25)]


def _fill_texts(world: HostileWorld, alice: User, text: list[str]) -> None:
    """Each vector is a note, each fourth a reply too; summaries have many each."""
    for vector in text:
        create_page(alice, Kind.NOTE, vector, about="tiny/L1H2")
    thread = create_page(alice, Kind.TALK, text[0], about="tiny/L1H2", title="x")
    for vector in text[::4]:
        create_page(alice, Kind.TALK, vector, parent=thread)
    parts = ["L1H2", "L1", "L1N5", "L1KV1"]
    for part, start in zip(parts, range(len(parts)), strict=True):
        page = create_page(alice, Kind.SUMMARY, "\n\n".join(text[start :: len(parts)]), about=f"tiny/{part}")
        world.addresses += [f"/a/{page.pk}/", f"/m/tiny/{part}/card/", f"/m/tiny/{part}/"]
    n_pages = -(-len(text) // 25)
    world.addresses += [f"/m/tiny/L1H2/texts/?page={n}" for n in range(1, n_pages + 1)]
    world.addresses += [f"/a/{thread.pk}/?page={n}" for n in (1, 2, 3)]
    world.addresses += ["/m/tiny/L1H2/texts/?show=talk", "/m/tiny/L1H2/texts/?show=links", "/m/tiny/texts/"]


def _fill_articles(world: HostileWorld, alice: User, text: list[str]) -> Page:
    titles = vectors_of("texts.Page.title")
    articles = [
        create_page(alice, Kind.ARTICLE, "\n\n".join(text[n :: len(titles)]), title=f"Article {n}")
        for n in range(len(titles))
    ]
    for article, title, name in zip(articles, titles, vectors_of("texts.Tag.name"), strict=True):
        Page.objects.filter(pk=article.pk).update(title=title)
        article.tags.add(Tag.objects.create(name=name))
    hidden = [Visibility.HIDDEN, Visibility.RETRACTED]
    for n, reason in enumerate(chunks_of("texts.Page.visibility_reason")):
        Page.objects.filter(pk=articles[n].pk).update(visibility=hidden[n % 2], visibility_reason=reason)
    first = articles[20]
    Link.objects.bulk_create(
        Link(source=articles[21], kind=LinkKind.MENTIONS, form=TargetForm.TITLE, target=f"w-{n}", words=words)
        for n, words in enumerate(vectors_of("texts.Link.words"))
    )
    Alias.objects.bulk_create(Alias(key=key, page=first) for key in vectors_of("texts.Alias.key"))
    circuit = create_page(
        alice, Kind.ARTICLE, "[[part-of::tiny/L1H2]] [[part-of::tiny/L0H1]]\n\n" + "\n\n".join(text), title="Circuit"
    )
    world.addresses += [f"/w/article-{n}/" for n in range(14)]
    world.addresses += ["/w/", "/w/?page=2", "/w/?page=3", "/wanted/", "/search/?q=window", "/w/circuit/"]
    world.addresses += [f"/search/?q=script&kind=article&page={n}" for n in (1, 2, 3)]
    world.addresses += [f"/a/{first.pk}/manage/", f"/a/{first.pk}/links/", f"/a/{circuit.pk}/edit/"]
    world.addresses += ["/recent/", "/recent/?kind=article", "/recent.atom", "/w/circuit/circuit.svg"]
    return first


def _fill_revisions(world: HostileWorld, alice: User, article: Page) -> None:
    """One article with a revision for each summary, all but the last withheld."""
    for n, summary in enumerate(vectors_of("texts.Revision.summary"), start=1):
        save_revision(article, alice, f"{n}\n" + summary, base_version=n, summary=summary)
    revisions = Revision.objects.filter(page=article).order_by("n")
    WithheldRevision.objects.bulk_create(
        WithheldRevision(revision=revision, by=alice, reason=reason)
        for revision, reason in zip(revisions, vectors_of("texts.WithheldRevision.reason"), strict=False)
    )
    Notification.objects.bulk_create(
        Notification(receiver=world.viewer, revision=revision, page=article, reason=Reason.NAMING, target=target)
        for revision, target in zip(revisions, vectors_of("following.Notification.target"), strict=False)
    )
    here = f"/a/{article.pk}"
    world.addresses += [f"{here}/history/", f"{here}/history/?before=72", f"{here}/history/?before=22"]
    world.addresses += [f"{here}/diff/?from=3&to=4", f"{here}/revert/?to=7", f"{here}/moderate/"]
    world.addresses += [f"{here}/edit/", f"{here}/report/", f"{here}.bib", f"{here}.json", f"{here}/history.json"]
    world.addresses += ["/notifications/", "/notifications/?page=2", "/people/alice/texts/", f"/w/{article.key}/?rev=5"]


def _fill_anchors(world: HostileWorld, alice: User, article: Page) -> None:
    for n, vector in enumerate(vectors_of("texts.Revision.fields")):
        kinds = [
            SpanAnchor(article.pk, 1, quote=vector, prefix=vector[:60], suffix=vector[:60], start=0),
            FigureAnchor("pattern", state=f"text={vector}"),
            TokenAnchor("sotu", n, 1, "top", token=vector[:100], survey=""),
            CellAnchor("sotu.3", 1, 0, "", query_token=vector[:100], key_token=vector[:100], tokens="", survey=""),
        ]
        create_page(alice, Kind.NOTE, "x", about="tiny/L2H0", fields=fields_of(kinds[n % 4]))
    world.addresses += ["/orphans/", "/m/tiny/L2H0/", *(f"/m/tiny/L2H0/texts/?page={n}" for n in range(1, 6))]
    world.addresses += [f"/a/{page.pk}/" for page in Page.objects.filter(component="L2H0")[:8]]
    world.addresses += [f"/orphans/?before={Page.objects.filter(component='L2H0').order_by('-pk')[99].pk}"]


def _fill_moderation(world: HostileWorld, alice: User) -> None:
    notes = list(Page.objects.filter(kind=Kind.NOTE).order_by("pk")[:130])
    columns = ("texts.AuditEntry.before", "texts.AuditEntry.after", "texts.AuditEntry.reason")
    for page, *words in zip(notes, *map(vectors_of, columns), strict=False):
        entry: dict[str, Any] = dict(zip(("before", "after", "reason"), words, strict=True))
        AuditEntry.objects.create(actor=alice, page=page, action=AuditEntry.Action.RENAME, **entry)
    reports = Report.objects.bulk_create(
        Report(page=page, n=1, reporter=alice, reason=reason)
        for page, reason in zip(notes, vectors_of("moderation.Report.reason"), strict=False)
    )
    for report, answer in zip(reports, chunks_of("moderation.Report.answer"), strict=False):
        report.state, report.moderator, report.outcome = Report.State.RESOLVED, world.viewer, Report.Outcome.OTHER
        report.answer, report.resolved_at = answer, timezone.now()
        report.save()
        world.addresses += [f"/reports/{report.pk}/"]
    before_reports, before = [r.pk for r in reports[::-1]], AuditEntry.objects.order_by("-pk")
    world.addresses += ["/reports/?state=all", *(f"/reports/?state=all&before={before_reports[n]}" for n in (49, 99))]
    world.addresses += ["/audit/", *(f"/audit/?before={before[n].pk}" for n in (49, 99))]
    world.addresses += [f"/a/{notes[0].pk}/moderate/", f"/a/{notes[0].pk}/manage/"]


def _fill_own(world: HostileWorld, article: Page) -> None:
    """What somebody sees of themselves alone."""
    viewer, later = world.viewer, timezone.now() + timedelta(days=1)
    columns = ("texts.Draft.target", "texts.Draft.title", "texts.Draft.text")
    for n, (target, title, text) in enumerate(zip(*map(vectors_of, columns), strict=True)):
        kind = ("note", "talk", "summary")[n % 3]
        Draft.objects.create(owner=viewer, target=f"new/{kind}/{target}"[:320], title=title, text=text)
    for n, title in enumerate(vectors_of("texts.Draft.title")):
        Draft.objects.create(owner=viewer, target=f"new/article/d-{n}", title=title, text="x")
    for n, text in enumerate(chunks_of("texts.Draft.text")):
        Draft.objects.create(owner=viewer, target=f"new/article/e-{n}", title="x", text=text)
        world.addresses += [f"/write/article/?title=e-{n}"]
    Watch.objects.bulk_create(Watch(user=viewer, target=target) for target in vectors_of("texts.Watch.target"))
    EmailAddress.objects.bulk_create(
        EmailAddress(user=viewer, email=email) for email in vectors_of("account.EmailAddress.email")
    )
    Authenticator.objects.bulk_create(
        Authenticator(user=viewer, type=Authenticator.Type.WEBAUTHN, data={"name": name, "credential": {}})
        for name in vectors_of("mfa.Authenticator.data")
    )
    agents = vectors_of("usersessions.UserSession.user_agent")
    client = Client()
    client.force_login(viewer)
    data = Session.objects.get(pk=client.session.session_key).session_data
    Session.objects.bulk_create(
        Session(session_key=f"session-{n}", session_data=data, expire_date=later) for n in range(len(agents))
    )
    UserSession.objects.bulk_create(
        UserSession(user=viewer, ip="127.0.0.1", session_key=f"session-{n}", user_agent=agent)
        for n, agent in enumerate(agents)
    )
    world.addresses += ["/drafts/", "/watching/", *(f"/watching/?page={n}" for n in range(2, 7)), "/accounts/sessions/"]
    world.addresses += ["/accounts/email/", "/accounts/2fa/", "/accounts/2fa/webauthn/", "/accounts/settings/"]
    world.addresses += ["/accounts/notifications/", "/accounts/3rdparty/"]
    world.addresses += [f"/write/talk/?page={article.pk}", "/write/note/?about=tiny/L1H2", "/write/article/?title=x"]
    world.addresses += [f"/write/note/?anchor=span&page={article.pk}&quote=1"]
