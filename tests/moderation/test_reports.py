"""Reports: made once, taken and answered by moderators, told to who made them."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from wiki.accounts.models import Role, User
from wiki.moderation.models import Report
from wiki.moderation.reports import REPORTS_AN_HOUR, report_text, resolve_report, take_report
from wiki.texts.errors import TextError, TooManyWrites
from wiki.texts.models import AuditEntry, Kind, Page
from wiki.texts.moderation import hide
from wiki.texts.writing import create_page

from .conftest import make_person, signed_in


def test_a_text_is_reported_looked_at_answered_and_the_reporter_told(
    page: Page, bob: User, charlie: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    reader, moderator = signed_in(bob), signed_in(charlie)
    answer = reader.post(f"/a/{page.pk}/report/", {"reason": "It sells pills."})
    report = Report.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/reports/{report.pk}/")
    assert "waiting for a moderator" in reader.get(f"/reports/{report.pk}/").content.decode()
    assert "It sells pills." in moderator.get("/reports/").content.decode()
    moderator.post(f"/reports/{report.pk}/", {"take": "yes"})
    assert "charlie is looking at it" in reader.get(f"/reports/{report.pk}/").content.decode()
    hide(page, charlie, reason="Spam")
    with django_capture_on_commit_callbacks(execute=True):
        moderator.post(f"/reports/{report.pk}/", {"outcome": "hidden", "answer": "Thank you, it is gone."})
    shown = reader.get(f"/reports/{report.pk}/").content.decode()
    assert "the text was hidden" in shown
    assert "Thank you, it is gone." in shown
    assert "Pills" not in shown, "what was hidden says nothing to its reporter"
    (message,) = mail.outbox
    assert message.to == ["bob@example.org"]
    assert "Thank you, it is gone." in message.body
    assert "Thank you" not in moderator.get("/reports/").content.decode(), "nothing waits"
    data = moderator.get("/reports.json?state=resolved").json()["reports"]
    assert [(each["id"], each["outcome"], each["moderator"]) for each in data] == [(report.pk, "hidden", "charlie")]
    entry = AuditEntry.objects.get(action="resolve")
    assert (entry.actor, entry.page, entry.after) == (charlie, page, "hidden")


def test_who_may_not_report_or_answer_is_refused(page: Page, alice: User, bob: User, charlie: User) -> None:
    assert Client().post(f"/a/{page.pk}/report/", {"reason": "x"}).status_code == 403
    report = report_text(page, bob, reason="Spam")
    for other in (alice, make_person("dave", Role.READER)):
        assert signed_in(other).get(f"/reports/{report.pk}/").status_code == 404
    assert signed_in(bob).post(f"/reports/{report.pk}/", {"take": "yes"}).status_code == 403
    for service in (take_report, lambda *given: resolve_report(*given, Report.Outcome.NOTHING, answer="x")):
        with pytest.raises(PermissionDenied):
            service(report, bob)
    hide(page, charlie, reason="Spam")
    with pytest.raises(PermissionDenied):
        report_text(page, bob, reason="Still spam")
    assert signed_in(bob).post(f"/a/{page.pk}/report/", {"reason": "x"}).status_code == 404
    assert AuditEntry.objects.filter(action="resolve").count() == 0


@pytest.mark.parametrize("reason", ["", "  ", "x" * 4_001])
def test_a_report_needs_a_reason_of_bearable_length(page: Page, bob: User, reason: str) -> None:
    assert signed_in(bob).post(f"/a/{page.pk}/report/", {"reason": reason}).status_code == 400
    with pytest.raises(TextError):
        report_text(page, bob, reason=reason)
    assert not Report.objects.exists()


def test_one_person_has_one_open_report_of_a_text(page: Page, alice: User, bob: User, charlie: User) -> None:
    first = report_text(page, bob, reason="Spam")
    assert report_text(page, bob, reason="Spam!") == first
    assert report_text(page, alice, reason="Mine is bad") != first
    with pytest.raises(IntegrityError), transaction.atomic():
        Report.objects.create(page=page, n=1, reporter=bob, reason="Spam")
    assert "reported it" in signed_in(bob).get(f"/a/{page.pk}/report/").content.decode()
    resolve_report(first, charlie, Report.Outcome.NOTHING, answer="It is fine")
    assert report_text(page, bob, reason="It is not") != first


def test_a_report_is_taken_by_one_and_resolved_once(page: Page, bob: User, charlie: User) -> None:
    other, report = make_person("dave", Role.MODERATOR), report_text(page, bob, reason="Spam")
    take_report(report, charlie)
    take_report(report, charlie)
    with pytest.raises(TextError, match="charlie's"):
        take_report(report, other)
    resolve_report(report, other, Report.Outcome.NOTHING, answer="It is fine")
    with pytest.raises(TextError, match="that dave resolved"):
        resolve_report(report, charlie, Report.Outcome.HIDDEN, answer="It is not")
    answer = signed_in(charlie).post(f"/reports/{report.pk}/", {"outcome": "hidden", "answer": "It is not"})
    assert answer.status_code == 400
    report.refresh_from_db()
    assert (report.outcome, report.moderator) == ("nothing", other)


def test_the_eleventh_report_of_an_hour_waits_and_what_was_typed_stays(alice: User, bob: User) -> None:
    pages = [create_page(alice, Kind.NOTE, f"{n}", about="gpt2/L5H1") for n in range(REPORTS_AN_HOUR + 1)]
    for page in pages[:-1]:
        report_text(page, bob, reason="Spam")
    answer = signed_in(bob).post(f"/a/{pages[-1].pk}/report/", {"reason": "A long story"})
    assert answer.status_code == 429
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert "A long story" in answer.content.decode()
    with pytest.raises(TooManyWrites):
        report_text(pages[-1], bob, reason="Spam")
    oldest = Report.objects.order_by("pk").first()
    assert oldest
    Report.objects.filter(pk=oldest.pk).update(created_at=oldest.created_at - timedelta(hours=1))
    assert report_text(pages[-1], bob, reason="Spam").pk


def test_more_reports_mean_no_more_queries_and_they_are_paged(
    alice: User, charlie: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    moderator = signed_in(charlie)

    def report_many(n: int) -> None:
        for _ in range(n):
            page = create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1")
            Report.objects.create(page=page, n=1, reporter=make_person(f"reader-{page.pk}", Role.READER), reason="Spam")

    moderator.get("/reports/")  # that somebody is here is noted once
    for n in (2, 60):
        report_many(n)
        for address in ("/reports/", "/reports.json"):
            with django_assert_max_num_queries(5):
                moderator.get(address)
    first = moderator.get("/reports.json").json()
    second = moderator.get(f"/reports.json{first['next']}").json()
    numbers = [each["id"] for each in [*first["reports"], *second["reports"]]]
    assert numbers == sorted(numbers, reverse=True)
    assert (len(first["reports"]), len(set(numbers)), second["next"]) == (50, 62, None)


def test_moderators_see_in_the_header_how_many_reports_wait(page: Page, bob: User, charlie: User) -> None:
    reader, moderator = signed_in(bob), signed_in(charlie)
    assert "not answered" not in moderator.get("/").text
    report = report_text(page, bob, reason="It sells pills.")
    assert re.search(r'href="/reports/">Reports\s*<strong class="unread-count">1<', moderator.get("/").text)
    assert "not answered" not in reader.get("/").text
    take_report(report, charlie)
    assert "not answered" in moderator.get("/").text
    resolve_report(report, charlie, Report.Outcome.NOTHING, answer="It does not.")
    assert "not answered" not in moderator.get("/").text
    assert list(page.audit_entries.order_by("pk").values_list("action", "actor__username")) == [
        ("report", "bob"),
        ("take", "charlie"),
        ("resolve", "charlie"),
    ]


def test_a_reporter_is_told_in_the_site_what_came_of_it_and_no_word_of_a_hidden_text(
    page: Page, bob: User, charlie: User
) -> None:
    report, own = report_text(page, bob, reason="It sells pills."), report_text(page, charlie, reason="Pills.")
    hide(page, charlie, reason="Spam")
    take_report(report, charlie)
    reader = signed_in(bob)
    assert reader.get("/notifications.json").json()["notifications"] == []
    resolve_report(report, charlie, Report.Outcome.HIDDEN, answer="Thank you, it is gone.")
    shown = reader.get("/notifications/").text
    assert f"charlie answers your report {report.pk}" in shown
    assert "Thank you, it is gone." in shown
    assert "ills" not in shown
    (told,) = reader.get("/notifications.json").json()["notifications"]
    assert (told["reason"], told["url"], told["revision"]) == ("answer", f"/reports/{report.pk}/", None)
    assert reader.get(f"/notifications/{told['id']}/").headers["Location"] == f"/reports/{report.pk}/"
    assert reader.get("/notifications.json").json()["notifications"][0]["read"]
    assert signed_in(charlie).get(f"/notifications/{told['id']}/").status_code == 404
    resolve_report(own, charlie, Report.Outcome.HIDDEN, answer="Gone.")
    assert signed_in(charlie).get("/notifications.json").json()["notifications"] == [], "who answers it knows it"
