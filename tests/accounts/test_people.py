"""Roles, profiles, settings, and groups that say who is independent of whom."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from wiki.accounts.access import has_role, roles_to_give
from wiki.accounts.groups import add_member, are_independent, create_group
from wiki.accounts.models import Membership, ResearchGroup, Role, User
from wiki.accounts.roles import give_role

from .conftest import make_person
from .test_sign_up import text_of


def as_person(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_each_role_may_what_the_ones_before_it_may(db: None) -> None:
    for role in Role:
        person = make_person(role.label, role)
        assert [person.has_role(other) for other in Role] == [other.value <= role.value for other in Role]
        assert (person.is_staff, person.is_superuser) == (role == Role.ADMIN, role == Role.ADMIN)
    assert not has_role(AnonymousUser(), Role.READER)
    person.is_active = False
    assert not person.has_role(Role.READER)
    give_role(person, Role.READER)
    assert not User.objects.filter(is_superuser=True).exists()


def test_an_operator_made_by_command_is_an_admin_with_a_verified_address(db: None) -> None:
    operator = User.objects.create_superuser("alice", "Alice@example.org", "of the tests")
    assert (operator.role, operator.is_staff) == (Role.ADMIN, True)
    assert operator.emailaddress_set.get().verified
    client = Client()
    assert client.post("/accounts/login/", {"login": "alice", "password": "of the tests"}).headers["Location"] == "/"


def test_admins_give_any_role_moderators_those_below_their_own_and_nobody_to_themselves(db: None) -> None:
    admin, moderator, other = (make_person(name, role) for name, role in (("alice", 5), ("bob", 4), ("charlie", 2)))
    assert roles_to_give(admin, moderator) == list(Role)
    assert roles_to_give(admin, admin) == []
    assert roles_to_give(moderator, other) == [Role.READER, Role.RESEARCHER, Role.REVIEWER]
    assert roles_to_give(moderator, admin) == []
    assert roles_to_give(other, moderator) == []
    for who, whom, role, status in (
        (moderator, other, Role.REVIEWER, 302),
        (moderator, other, Role.MODERATOR, 403),
        (moderator, moderator, Role.ADMIN, 403),
        (moderator, admin, Role.READER, 403),
        (other, other, Role.ADMIN, 403),
        (admin, moderator, Role.ADMIN, 302),
    ):
        answer = as_person(who).post(f"/people/{whom}/role/", {"role": str(role.value)})
        assert answer.status_code == status, (who, whom, role)
    assert dict(User.objects.values_list("username", "role")) == {"alice": 5, "bob": 5, "charlie": 3}
    assert Client().post("/people/alice/role/", {"role": "1"}).status_code == 403
    assert User.objects.get(username="alice").role == Role.ADMIN


def test_a_profile_shows_name_role_groups_and_since_when(client: Client, db: None) -> None:
    person = make_person("bob", Role.REVIEWER)
    create_group("Circuits", lead=person, created_by=person)
    as_person(person).post("/accounts/settings/", {"shown_name": "<b>Bob</b>"})
    page = text_of(client.get("/people/bob/"))
    assert "<td>reviewer</td>" in page
    assert '<a href="/groups/circuits/">Circuits</a>' in page
    assert f"{person.date_joined:%-d %B %Y}" in page
    assert "&lt;b&gt;Bob&lt;/b&gt;" in page
    assert "bob@example.org" not in page
    assert "Give this role" not in page
    assert client.get("/people/nobody/").status_code == 404
    User.objects.update(is_active=False)
    assert client.get("/people/bob/").status_code == 404
    assert as_person(make_person("alice", Role.MODERATOR)).get("/people/bob/").status_code == 200


def test_only_ones_own_settings_are_changed_and_only_when_signed_in(client: Client, db: None) -> None:
    assert client.get("/accounts/settings/").headers["Location"] == "/accounts/login/?next=/accounts/settings/"
    alice = make_person("alice")
    assert as_person(alice).post("/accounts/settings/", {"shown_name": "x" * 101, "role": "5"}).status_code == 400
    as_person(alice).post("/accounts/settings/", {"shown_name": "Alice", "role": "5"})
    alice.refresh_from_db()
    assert (alice.shown_name, alice.role) == ("Alice", Role.READER)


def test_moderators_make_groups_and_leads_say_who_is_in_them(db: None) -> None:
    alice, bob, charlie = make_person("alice", Role.MODERATOR), make_person("bob"), make_person("charlie")
    assert as_person(bob).post("/groups/", {"name": "Circuits", "lead": "bob"}).status_code == 403
    made = as_person(alice).post("/groups/", {"name": "Circuits", "lead": "bob"})
    assert made.headers["Location"] == "/groups/circuits/"
    lead = as_person(bob)
    assert lead.post("/groups/circuits/", {"add": "charlie"}).status_code == 302
    assert "/people/charlie/" in text_of(Client().get("/groups/circuits/"))
    assert not are_independent(bob, charlie)
    refused = as_person(charlie).post("/groups/circuits/", {"remove": "bob"})
    assert refused.status_code == 403
    assert "expected its lead, bob, got charlie." in text_of(refused)
    assert Client().post("/groups/circuits/", {"add": "alice"}).status_code == 403
    assert "Removing bob from Circuits: expected a member, got its lead." in text_of(
        lead.post("/groups/circuits/", {"remove": "bob"})
    )
    lead.post("/groups/circuits/", {"remove": "charlie"})
    assert are_independent(bob, charlie)
    assert list(Membership.objects.values_list("person__username", flat=True)) == ["bob"]
    page = text_of(Client().get("/groups/circuits/"))
    assert "Add to the group" not in page
    assert "Add to the group" in text_of(lead.get("/groups/circuits/"))


def test_a_blocked_moderator_changes_nothing_and_a_blocked_lead_no_group(db: None) -> None:
    alice, bob, charlie = make_person("alice", Role.MODERATOR), make_person("bob"), make_person("charlie")
    group = create_group("Circuits", lead=bob, created_by=alice)
    User.objects.filter(username__in=["alice", "bob"]).update(
        blocked_until=timezone.now() + timedelta(days=1), blocked_because="Too eager"
    )
    for person in (alice, bob):
        response = as_person(person).post(group.get_absolute_url(), {"add": "charlie"})
        assert response.status_code == 403
        assert "expected somebody who is not blocked" in text_of(response)
    assert as_person(alice).post("/groups/", {"name": "More", "lead": "bob"}).status_code == 403
    assert as_person(alice).post("/accounts/invitations/", {"email": "", "role": "2"}).status_code == 403
    assert as_person(alice).post("/people/charlie/role/", {"role": "2"}).status_code == 403
    alice.refresh_from_db()
    assert roles_to_give(alice, charlie) == []


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"name": "Circuits", "lead": "nobody"}, "expected the name of an account here, got “nobody”."),
        ({"name": "…", "lead": "alice"}, "expected a name with letters or digits, got “…”."),
        ({"name": "circuits!", "lead": "alice"}, "expected a name that no group has, got “circuits!”."),
    ],
)
def test_what_cannot_be_a_group_is_said(db: None, typed: dict[str, str], sentence: str) -> None:
    alice = make_person("alice", Role.MODERATOR)
    create_group("Circuits", lead=alice, created_by=alice)
    page = as_person(alice).post("/groups/", typed)
    assert (page.status_code, sentence in text_of(page)) == (400, True)
    assert ResearchGroup.objects.count() == 1


@pytest.mark.both_databases
def test_people_are_independent_unless_they_are_one_or_share_a_group(db: None) -> None:
    alice, bob, charlie = make_person("alice"), make_person("bob"), make_person("charlie")
    one = create_group("One", lead=alice, created_by=alice)
    two = create_group("Two", lead=charlie, created_by=charlie)
    add_member(one, bob, added_by=alice)
    add_member(one, bob, added_by=alice)
    add_member(two, bob, added_by=charlie)
    assert not are_independent(alice, alice)
    assert not are_independent(alice, bob)
    assert not are_independent(bob, charlie)
    assert are_independent(alice, charlie)


def test_more_groups_and_members_mean_no_more_queries(
    client: Client, db: None, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    alice = make_person("alice")
    group = create_group("One", lead=alice, created_by=alice)
    for address, n_queries in (("/groups/", 2), ("/groups/one/", 2), ("/people/alice/", 3)):
        with django_assert_num_queries(n_queries):
            client.get(address)
    for number in range(5):
        person = make_person(f"bob{number}")
        add_member(group, person, added_by=alice)
        add_member(create_group(f"Group {number}", lead=person, created_by=alice), alice, added_by=person)
    for address, n_queries in (("/groups/", 2), ("/groups/one/", 2), ("/people/alice/", 3)):
        with django_assert_num_queries(n_queries):
            client.get(address)
