"""Making pages and saving revisions. Nothing that was saved is ever lost: saving is compare-and-swap on a page's
version, and one submission of a form, sent twice, is one revision."""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from analysis.schema import SLUG, Component, SchemaError, content_hash
from wiki.accounts.models import User

from .access import may_edit, may_read, may_reply, may_write, require, revisions_visible_to
from .allowances import require_not_blocked, require_room
from .drafts import draft_target
from .errors import AlreadyThere, EditConflict, TextError
from .links import replace_links
from .models import Alias, AuditEntry, Draft, Kind, Page, Revision, TargetForm
from .signals import article_renamed, revision_saved
from .targets import key_of, normalise
from .versions import bump, scopes_of_page

# What stands among articles and is none.
OWN_PAGES = frozenset({"replications"})

MAX_BYTES = 200_000
_NOT_IN_TITLES = set("/[]|#@<>")


def create_page(
    author: User,
    kind: Kind,
    text: str,
    *,
    title: str = "",
    about: str = "",
    parent: Page | None = None,
    summary: str = "",
    fields: dict[str, Any] | None = None,
    survey: str = "",
    submission: str = "",
) -> Page:
    """A new page with its first revision; the one that was made before where this submission was sent already.

    `about` is a model or `model/component` in any notation, of a summary, a note or a thread; `parent` the page that a
    thread is about, or the thread that a reply is in.
    """
    text, fields = clean_text(text), fields or {}
    title = _clean_title(title) if title or kind == Kind.ARTICLE else ""
    model_slug, component = _clean_about(about)
    _require_place(kind, model_slug=model_slug, component=component, parent=parent)
    name = _submission_name(submission, [kind, title, model_slug, component, parent and parent.pk, text, fields])
    require_not_blocked(author)
    require(may_write(author), f"Writing {_a(kind)}", user=author)
    try:
        with transaction.atomic():
            if earlier := _earlier(author, name):
                return earlier.page
            if parent is not None:
                # what hides it waits for this, or this for that
                parent = Page.objects.select_for_update(no_key=True).get(pk=parent.pk)
                require(may_reply(author, parent), "Replying", user=author)
            require_room(author, before="", after=text)
            key = key_of(title) if kind == Kind.ARTICLE else None
            page = Page(
                kind=kind,
                title=title,
                key=key,
                model_slug=model_slug,
                component=component,
                parent=parent,
                author=author,
            )
            _require_free(page, author)
            page.save(force_insert=True)
            if key:
                Alias.objects.create(key=key, page=page)
            page.version = 1
            _, scopes = _append(
                page, author, text, base=None, summary=summary, fields=fields, survey=survey, submission=name
            )
            bump(scopes | scopes_of_page(page))  # texts that link to it say that it is there
            return page
    except IntegrityError:
        # another transaction was first: the same submission, title or summary
        if earlier := _earlier(author, name):
            return earlier.page
        _require_free(page, author)
        raise


def save_revision(
    page: Page,
    author: User,
    text: str,
    *,
    base_version: int,
    summary: str = "",
    fields: dict[str, Any] | None = None,
    survey: str = "",
    submission: str = "",
) -> Revision:
    """Save what `author` made of revision `base_version`; EditConflict, and nothing changed, if that is not the newest.

    What says the same as the newest revision saves nothing and returns that. `fields` None keeps the newest one's.
    """
    text = clean_text(text)
    name = _submission_name(submission, [page.pk, text, fields])
    with transaction.atomic():
        # of two who save at once the second waits here until the first has committed
        now = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
        if earlier := _earlier(author, name):
            return earlier
        require_not_blocked(author)
        require(may_edit(author, now), f"Editing {now}", user=author, page=now)
        newest = now.current
        assert newest is not None
        if newest.text == text and fields in (None, newest.fields):
            Draft.objects.filter(owner=author, target=draft_target(now)).delete()
            return newest
        require_room(author, before=newest.text, after=text)
        base = Revision.objects.filter(page=now, n=base_version).first()
        if base is None:
            raise TextError(f"Editing {now}: expected a revision from 1 to {newest.n} as its base, got {base_version}.")
        if not Page.objects.filter(pk=now.pk, version=base_version).update(version=F("version") + 1):
            raise EditConflict(base=base, theirs=newest, yours=text)
        now.version = base_version + 1
        fields = newest.fields if fields is None else fields
        revision, scopes = _append(
            now, author, text, base=base, summary=summary, fields=fields, survey=survey, submission=name
        )
        Draft.objects.filter(owner=author, target=draft_target(now)).delete()
        bump(scopes)
    return revision


def revert_to(
    page: Page, author: User, n: int, *, base_version: int, summary: str = "", submission: str = ""
) -> Revision:
    """Make the page say what revision `n` says, as a new revision."""
    old = revisions_visible_to(author).filter(page=page, n=n).first()
    if old is None:
        raise TextError(f"Going back to revision {n} of {page}: expected one of 1 to {page.version}.")
    return save_revision(
        page,
        author,
        old.text,
        base_version=base_version,
        summary=summary or f"Back to revision {n}",
        fields=old.fields,
        survey=old.survey,
        submission=submission,
    )


def rename_article(page: Page, author: User, title: str) -> Page:
    """Give an article another title; links by every title that it had still lead to it."""
    title = _clean_title(title)
    key = key_of(title)
    try:
        with transaction.atomic():
            page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
            require(page.kind == Kind.ARTICLE and may_edit(author, page), f"Renaming {page}", user=author)
            if page.title == title:
                return page
            before, page.title, page.key = page.title, title, key
            _require_free(page, author)
            # page first, then alias, as where pages are made: PostgreSQL would see a deadlock
            page.save(update_fields=["title", "key"])
            Alias.objects.get_or_create(key=key, defaults={"page": page})
            entry = AuditEntry.objects.create(
                actor=author, page=page, action=AuditEntry.Action.RENAME, before=before, after=title
            )
            article_renamed.send(sender=Page, page=page, entry=entry)
            bump(scopes_of_page(page))
    except IntegrityError:
        _require_free(page, author)  # another page was given the title at the same time
        raise
    return page


def clean_text(text: str) -> str:
    """A text as it is kept: one newline at each line's end; refused if it is too long or not text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        n_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise TextError("Saving a text: expected Unicode text, got half of a character (a lone surrogate).") from error
    if "\0" in text:
        raise TextError("Saving a text: expected Unicode text, got a NUL character.")
    if n_bytes > MAX_BYTES:
        raise TextError(f"Saving a text: expected at most {MAX_BYTES:,} bytes, got {n_bytes:,}; make it two pages.")
    return text


def _append(
    page: Page,
    author: User,
    text: str,
    *,
    base: Revision | None,
    summary: str,
    fields: dict[str, Any],
    survey: str,
    submission: str | None,
) -> tuple[Revision, set[str]]:
    """Write revision `page.version` and make it the current one; within the transaction that took that number.

    Also returns the models on whose pages the change shows.
    """
    now = timezone.now()
    revision = Revision.objects.create(
        page=page,
        n=page.version,
        author=author,
        text=text,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        fields=fields,
        summary=clean_text(summary)[:300],
        survey=survey,
        base=base,
        submission=submission,
        created_at=now,
    )
    page.current, page.updated_at, page.is_anchored = revision, now, "anchor" in fields
    page.save(update_fields=["current", "version", "updated_at", "is_anchored"])
    scopes = replace_links(page, text=text, fields=fields)
    revision_saved.send(sender=Page, page=page, revision=revision)
    return revision, scopes


def _submission_name(submission: str, content: list[Any]) -> str | None:
    """One form, sent again with other content, is another submission."""
    return content_hash([submission, content]) if submission else None


def _earlier(author: User, name: str | None) -> Revision | None:
    if name is None:
        return None
    return Revision.objects.select_related("page").filter(author=author, submission=name).first()


def _clean_title(title: str) -> str:
    title = " ".join(title.split())
    # on a model's page a component's name alone would lead to the component
    target = normalise(title, scope="any-model")
    if target is None or target.form != TargetForm.TITLE or _NOT_IN_TITLES & set(title):
        raise TextError(
            f"Choosing a title: expected up to 200 characters that are no component's name and have none of / [ ] | # "
            f"@ < >, got “{title[:100]}”."
        )
    if key_of(title) in OWN_PAGES:
        raise TextError(f"Choosing a title: “{title}” is a page of the site itself; choose another.")
    return title


def _clean_about(about: str) -> tuple[str, str]:
    """The model and the canonical component that a page is about, both empty where it is about none."""
    slug, slash, name = about.strip().partition("/")
    if about.strip() and not SLUG.fullmatch(slug):
        raise TextError(
            f"Writing about “{about[:100]}”: expected a model's slug, or one and a component as in gpt2/L5H1."
        )
    try:
        return slug, str(Component.parse(name)) if slash else ""
    except SchemaError as error:
        raise TextError(str(error)) from error


def _require_place(kind: Kind, *, model_slug: str, component: str, parent: Page | None) -> None:
    """Each kind hangs on what it is for."""
    fits = {
        Kind.SUMMARY: bool(model_slug and parent is None),
        Kind.NOTE: bool(model_slug and parent is None),
        Kind.ARTICLE: not model_slug and parent is None,
        Kind.TALK: bool(model_slug) != (parent is not None),
    }
    if not fits[kind]:
        raise TextError(
            f"Writing {_a(kind)}: expected summaries and notes to be about a model or component, articles about "
            f"nothing, and talk about either a component or a page."
        )
    if parent and parent.kind == Kind.TALK and parent.parent and parent.parent.kind == Kind.TALK:
        raise TextError("Replying: expected a thread, got a reply; reply in its thread.")


def _require_free(page: Page, author: User) -> None:
    """Refuse a title that leads to another page, and a second summary."""
    other: Page | None = None
    if page.kind == Kind.ARTICLE:
        alias = Alias.objects.select_related("page").filter(key=page.key).first()
        other = alias.page if alias else None
    elif page.kind == Kind.SUMMARY:
        other = Page.objects.filter(kind=Kind.SUMMARY, model_slug=page.model_slug, component=page.component).first()
    if other is not None and other.pk != page.pk:
        if page.kind == Kind.SUMMARY:
            raise AlreadyThere(f"{page.about} has its summary already: add to that one what it lacks.", page=other)
        shown = f"the article “{other.title}”" if may_read(author, other) else "a page"
        raise AlreadyThere(
            f"“{page.title}” leads to {shown} already: choose another title, or add to what is there.", page=other
        )


def _a(kind: Kind) -> str:
    return {Kind.ARTICLE: "an article", Kind.TALK: "talk"}.get(kind, f"a {kind}")


def name_article(page: Page, author: User, title: str) -> Page:
    """Give an article one more title, by which links lead to it too."""
    title = _clean_title(title)
    with transaction.atomic():
        page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
        require(page.kind == Kind.ARTICLE and may_edit(author, page), f"Naming {page}", user=author, page=page)
        alias, is_new = Alias.objects.get_or_create(key=key_of(title), defaults={"page": page})
        if alias.page_id != page.pk:
            raise AlreadyThere(f"Naming {page}: “{title}” leads to another article already.", page=alias.page)
        if is_new:
            AuditEntry.objects.create(actor=author, page=page, action=AuditEntry.Action.NAME, after=title)
            bump(scopes_of_page(page))
    return page
