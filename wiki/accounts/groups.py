"""Research groups: who works with whom, and so who is independent of whom."""

from __future__ import annotations

from django.db import transaction
from django.utils.text import slugify

from .models import Membership, ResearchGroup, User


class GroupError(Exception):
    """The group cannot become so; the message is one sentence."""


def create_group(name: str, *, lead: User, created_by: User) -> ResearchGroup:
    """A new group with its lead as first member."""
    slug = slugify(name)[:60].strip("-")
    if not slug:
        raise GroupError(f"Creating a group: expected a name with letters or digits, got “{name}”.")
    if ResearchGroup.objects.filter(slug=slug).exists() or ResearchGroup.objects.filter(name=name).exists():
        raise GroupError(f"Creating a group: expected a name that no group has, got “{name}”.")
    with transaction.atomic():
        group = ResearchGroup.objects.create(slug=slug, name=name, lead=lead)
        Membership.objects.create(group=group, person=lead, added_by=created_by)
    return group


def add_member(group: ResearchGroup, person: User, *, added_by: User) -> None:
    """Put a person into a group; one who is there stays as they were."""
    Membership.objects.get_or_create(group=group, person=person, defaults={"added_by": added_by})


def remove_member(group: ResearchGroup, person: User) -> None:
    """Take a person out of a group; never its lead."""
    if person.pk == group.lead_id:
        raise GroupError(f"Removing {person} from {group}: expected a member, got its lead.")
    Membership.objects.filter(group=group, person=person).delete()


def are_independent(one: User, other: User) -> bool:
    """Whether two people are two and in no group together."""
    if one.pk == other.pk:
        return False
    return not Membership.objects.filter(person=one, group__memberships__person=other).exists()
