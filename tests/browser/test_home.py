from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from analysis.schema import DatasetKind
from tests.pages.building import build_model, build_survey, finish, random_metrics
from wiki.experiments.models import Job


def test_home_follows_what_is_being_measured(page: Page, live_server: LiveServer, transactional_db: None) -> None:
    model = build_model()
    survey = build_survey(model, "sotu")
    soon = timezone.now() + timedelta(minutes=5)
    Job.objects.create(
        survey=survey, kind="survey-shard", shard=0, state=Job.State.RUNNING, rows_done=3, lease_until=soon
    )
    page.goto(live_server.url)
    expect(page.locator("#progress")).to_contain_text("0 of 1 survey finished")
    expect(page.locator("#progress")).to_contain_text("sotu: 3 of 8 rows measured.")
    Job.objects.update(rows_done=5)
    expect(page.locator("#progress")).to_contain_text("sotu: 5 of 8 rows measured.", timeout=10_000)
    finish(survey, metrics=random_metrics(model, DatasetKind.NATURAL, seed=0))
    expect(page.locator(".begin")).to_contain_text("To begin with", timeout=10_000)
    expect(page.locator("#progress")).to_have_count(0)
