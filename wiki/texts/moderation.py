"""Hiding, retracting, protecting and tagging pages; each leaves an entry in the audit log."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from wiki.accounts.models import User

from .access import may_edit, may_hide, may_protect, may_read, may_retract, require
from .errors import TextError
from .models import AuditEntry, Page, Protection, Tag, Visibility
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
            bump(scopes_of_page(page))
    return page


def _set_visibility(page: Page, actor: User, action: AuditEntry.Action, to: Visibility, *, reason: str) -> Page:
    with transaction.atomic():
        # a reply that is being written waits for this, or this for that
        page = Page.objects.select_for_update(no_key=True).get(pk=page.pk)
        of_moderators = action in (_Action.HIDE, _Action.UNHIDE)
        may = may_hide(actor, page) if of_moderators else may_retract(actor, page)
        doing = f"{action.label} {page}".capitalize()
        require(may and may_read(actor, page), doing, user=actor)
        if page.visibility not in _FROM[action]:
            return page
        reason = _clean_reason(reason, doing)
        if action == _Action.UNHIDE:
            hidden = page.audit_entries.filter(action=_Action.HIDE).first()  # the newest
            earlier = page.audit_entries.filter(action=_Action.RETRACT).first()
            if hidden and earlier and hidden.before == Visibility.RETRACTED:
                to, page.visibility_reason = Visibility.RETRACTED, earlier.reason
        _log(page, actor, action, before=page.visibility, after=to, reason=reason)
        if action != _Action.UNHIDE or to != Visibility.RETRACTED:
            page.visibility_reason = "" if to == Visibility.PUBLISHED else reason
        page.visibility = to
        page.save(update_fields=["visibility", "visibility_reason"])
        bump(scopes_of_page(page))
    return page


def _log(page: Page, actor: User, action: AuditEntry.Action, *, before: str, after: str, reason: str) -> None:
    AuditEntry.objects.create(actor=actor, page=page, action=action, before=before, after=after, reason=reason)


def _clean_reason(reason: str, doing: str) -> str:
    if not reason.strip():
        raise TextError(f"{doing}: expected a reason, got none.")
    return reason.strip()
