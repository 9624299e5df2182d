"""Hiding, retracting, protecting and tagging pages, withholding revisions; each leaves an entry in the audit log."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import QuerySet

from wiki.accounts.models import User

from .access import is_moderator, may_edit, may_hide, may_protect, may_read, may_retract, require
from .errors import TextError
from .models import AuditEntry, Page, Protection, Revision, Tag, Visibility, WithheldRevision
from .signals import page_tagged, visibility_changed
from .targets import key_of
from .versions import bump, scopes_of_page

_Action = AuditEntry.Action


def hide(page: Page, actor: User, *, reason: str) -> Page:
    """Show it to its author and moderators alone, with what hangs on it."""
    return _set_visibility(page, actor, _Action.HIDE, Visibility.HIDDEN, reason=reason)


def unhide(page: Page, actor: User, *, reason: str) -> Page:
    """Show it to everybody again; what was retracted before it was hidden is retracted again."""
    return _set_visibility(page, actor, _Action.UNHIDE, Visibility.PUBLISHED, reason=reason)


def retract(page: Page, actor: User, *, reason: str) -> Page:
    """Take it back: everybody still reads it, with a mark."""
    return _set_visibility(page, actor, _Action.RETRACT, Visibility.RETRACTED, reason=reason)


def unretract(page: Page, actor: User, *, reason: str) -> Page:
    return _set_visibility(page, actor, _Action.UNRETRACT, Visibility.PUBLISHED, reason=reason)


# From which visibility each leads.
_FROM = {
    _Action.HIDE: {Visibility.PUBLISHED, Visibility.RETRACTED},
    _Action.UNHIDE: {Visibility.HIDDEN},
    _Action.RETRACT: {Visibility.PUBLISHED},
    _Action.UNRETRACT: {Visibility.RETRACTED},
}


def protect(page: Page, actor: User, protection: Protection, *, reason: str) -> Page:
    """Say who may edit it, of those who may write."""
    with transaction.atomic():
        page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
        require(may_protect(actor, page), f"Protecting {page}", user=actor)
        reason = _clean_reason(reason, "Protecting a page")
        if page.protection != protection:
            _log(page, actor, _Action.PROTECT, before=page.protection, after=protection, reason=reason)
            page.protection = protection
            page.save(update_fields=["protection"])
    return page


def withhold_revision(page: Page, actor: User, n: int, *, reason: str) -> WithheldRevision:
    """Show one revision, of which another has become the current one, to moderators alone."""
    with transaction.atomic():
        page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
        doing = f"Withholding revision {n} of {page}"
        require(may_hide(actor, page), doing, user=actor)
        revision = Revision.objects.select_related("withheld").filter(page=page, n=n).first()
        if revision is None or n == page.version:
            raise TextError(
                f"{doing}: expected one of the revisions before the newest, {page.version}; go back to another one "
                f"first, or hide the page."
            )
        reason = _clean_reason(reason, doing)
        made, is_new = WithheldRevision.objects.get_or_create(
            revision=revision, defaults={"by": actor, "reason": reason}
        )
        if is_new:
            _log(page, actor, _Action.WITHHOLD, before=f"revision {n}", after="", reason=reason)
            bump(scopes_of_page(page))
    return made


def unwithhold_revision(page: Page, actor: User, n: int, *, reason: str) -> None:
    """Show a revision to everybody again who sees its page."""
    with transaction.atomic():
        page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
        doing = f"Showing revision {n} of {page} again"
        require(may_hide(actor, page), doing, user=actor)
        reason = _clean_reason(reason, doing)
        if WithheldRevision.objects.filter(revision__page=page, revision__n=n).delete()[0]:
            _log(page, actor, _Action.UNWITHHOLD, before="", after=f"revision {n}", reason=reason)
            bump(scopes_of_page(page))


def withheld_revisions(page: Page) -> QuerySet[WithheldRevision]:
    """That which revisions of a page are withheld, by whom and why: everybody who sees the page may know, and no word
    of them."""
    return (
        WithheldRevision.objects.filter(revision__page=page)
        .select_related("revision__author", "by")
        .defer("revision__text", "revision__fields", "revision__summary", "revision__digest")
    )


def tag_page(page: Page, actor: User, names: Iterable[str]) -> Page:
    """Make these the tags of a page."""
    wanted = sorted({key for name in names if (key := key_of(name))})
    if any(len(name) > 60 or not name.isprintable() for name in wanted):
        raise TextError("Tagging a page: expected words of at most 60 characters.")
    with transaction.atomic():
        page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
        require(may_edit(actor, page), f"Tagging {page}", user=actor)
        before = sorted(page.tags.values_list("name", flat=True))
        if before != wanted:
            Tag.objects.bulk_create([Tag(name=name) for name in wanted], ignore_conflicts=True)
            page.tags.set(Tag.objects.filter(name__in=wanted))
            _log(page, actor, _Action.TAG, before=", ".join(before), after=", ".join(wanted), reason="")
            page_tagged.send(sender=Page, page=page)
            bump(scopes_of_page(page))
    return page


def _set_visibility(page: Page, actor: User, action: AuditEntry.Action, to: Visibility, *, reason: str) -> Page:
    with transaction.atomic():
        # a reply that is being written waits for this, or this for that
        page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
        of_moderators = action in (_Action.HIDE, _Action.UNHIDE)
        may = may_hide(actor, page) if of_moderators else may_retract(actor, page)
        if action == _Action.UNRETRACT and not is_moderator(actor):
            # what a moderator took back is not its author's to bring back
            retracted = page.audit_entries.filter(action=_Action.RETRACT).first()
            may = may and retracted is not None and retracted.actor_id == actor.pk
        doing = f"{action.label.capitalize()} {page}"
        require(may and may_read(actor, page), doing, user=actor)
        if page.visibility not in _FROM[action]:
            return page
        reason = _clean_reason(reason, doing)
        if action == _Action.UNHIDE:
            hidden = page.audit_entries.filter(action=_Action.HIDE).first()  # the newest
            earlier = page.audit_entries.filter(action=_Action.RETRACT).first()
            if hidden and earlier and hidden.before == Visibility.RETRACTED:
                to, page.visibility_reason = Visibility.RETRACTED, earlier.reason
        entry = _log(page, actor, action, before=page.visibility, after=to, reason=reason)
        if action != _Action.UNHIDE or to != Visibility.RETRACTED:
            page.visibility_reason = "" if to == Visibility.PUBLISHED else reason
        before, page.visibility = page.visibility, to
        page.save(update_fields=["visibility", "visibility_reason"])
        visibility_changed.send(sender=Page, page=page, before=before, entry=entry)
        bump(scopes_of_page(page))
    return page


def _log(page: Page, actor: User, action: AuditEntry.Action, *, before: str, after: str, reason: str) -> AuditEntry:
    return AuditEntry.objects.create(actor=actor, page=page, action=action, before=before, after=after, reason=reason)


def _clean_reason(reason: str, doing: str) -> str:
    if not reason.strip():
        raise TextError(f"{doing}: expected a reason, got none.")
    return reason.strip()
