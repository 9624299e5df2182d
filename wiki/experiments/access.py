"""Who may ask for experiments, and stop them."""

from __future__ import annotations

from wiki.accounts.access import Visitor, has_role, is_blocked, require_role, require_unblocked
from wiki.accounts.models import Role, User

from .models import Run


def may_experiment(visitor: Visitor) -> bool:
    """Researchers, unless they are blocked: the workers' time is everybody's."""
    return has_role(visitor, Role.RESEARCHER) and not is_blocked(visitor)


def require_may_experiment(visitor: Visitor, *, doing: str) -> User:
    """Whoever asks; 403 with a sentence for who may not."""
    require_role(visitor, Role.RESEARCHER, doing=doing)
    require_unblocked(visitor, doing=doing)
    assert isinstance(visitor, User)
    return visitor


def may_stop(visitor: Visitor, run: Run) -> bool:
    """Who asked for the run, and moderators."""
    return may_experiment(visitor) and (visitor.pk == run.asked_by_id or has_role(visitor, Role.MODERATOR))
