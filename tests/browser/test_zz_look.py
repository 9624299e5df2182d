from __future__ import annotations
import os
from pathlib import Path
import pytest
from django.test import Client
from tests.pages.building import build_measured_model
from tests.pages.building_scrubs import build_experiment, finish_run, NODES
from wiki.accounts.models import Role, User
from wiki.experiments.scrubs import run_again
from wiki.experiments.models import Job

OUT = Path("/tmp/d_looks")
OUT.mkdir(exist_ok=True)
ONLY = os.environ.get("LOOK", "")


def test_look(browser, live_server, db, settings, tmp_path):
    settings.BROKER_URL = f"loupe-filesystem://{tmp_path / 'broker'}"
    model = build_measured_model()
    alice = User.objects.create_user("alice", role=Role.RESEARCHER)
    e = build_experiment(model, alice, title="Induction by a match of the end token", criterion=0.5)
    finish_run(e.runs.get())
    finish_run(run_again(e, user=alice))
    run_again(e, user=alice)
    o = build_experiment(
        model,
        alice,
        end_point={"inputs scrubbed": ["L2H1"]},
        nodes=[NODES[0], {"name": "a", "parent": "out", "parts": ["L0.mlp"], "sampler": "unconditional"}],
    )
    finish_run(o.runs.get(), share=-0.3)
    f = build_experiment(model, alice, title="Failed one", n=41)
    Job.objects.filter(run__experiment=f).update(state="failed", error="Scrubbing: expected numbers, got NaN.")
    client = Client()
    client.force_login(alice)
    pages = {
        "list": "/x/",
        "x": f"/x/{e.hash}/",
        "x0": f"/x/{o.hash}/",
        "cmp": f"/x/compare/?a={e.hash}&b={o.hash}",
        "new": f"/x/new/?from={e.hash}",
        "head": "/m/tiny/L2H1/",
        "failed": f"/x/{f.hash}/",
    }
    for name, url in pages.items():
        if ONLY and name not in ONLY.split(","):
            continue
        for width in (1440, 390):
            for scheme in ("light", "dark") if width == 390 else ("light",):
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
                context.add_cookies(
                    [{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}]
                )
                page = context.new_page()
                page.goto(live_server.url + url)
                page.wait_for_timeout(400)
                page.screenshot(path=str(OUT / f"{name}-{width}-{scheme}.png"), full_page=True)
                wide = page.evaluate("document.documentElement.scrollWidth")
                if wide > width:
                    print("WIDE", name, width, wide)
                context.close()
