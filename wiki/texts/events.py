"""What was done to a text other than writing, in one line."""

from __future__ import annotations

from .models import AuditEntry

_Action = AuditEntry.Action

_LINES = {
    _Action.HIDE: "{actor} hid {name}",
    _Action.UNHIDE: "{actor} showed {name} again",
    _Action.RETRACT: "{actor} took back {name}",
    _Action.UNRETRACT: "{actor} published {name} again",
    _Action.PROTECT: "{actor} gave the editing of {name} from {before} to {after}",
    _Action.RENAME: "{actor} renamed “{before}” to “{after}”",
    _Action.NAME: "{actor} called {name} “{after}” too",
    _Action.TAG: "{actor} changed the tags of {name} from {before} to {after}",
    _Action.WITHHOLD: "{actor} withheld {before} of {name}",
    _Action.UNWITHHOLD: "{actor} showed {after} of {name} again",
    _Action.REPORT: "{actor} reported {name}",
    _Action.TAKE: "{actor} took {before} of {name}",
    _Action.RESOLVE: "{actor} answered {before} of {name}",
}


def what_was_done(entry: AuditEntry, name: str) -> str:
    """An entry about a page, which the line calls `name`; why it was done stands beside it. Reads the actor."""
    return _LINES[_Action(entry.action)].format(
        actor=entry.actor.get_username(), name=name, before=entry.before or "none", after=entry.after or "none"
    )
