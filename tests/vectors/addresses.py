"""An address for every pattern of the site, with what a form there sends, over the world of the access matrix."""

from __future__ import annotations

from tests.access.checking import patterns
from tests.access.matrix import ALLAUTH, ROWS
from tests.access.world import World
from wiki.pages.hypothesis_form import OF_NODE, SETTINGS

WRITTEN = {"text": "x", "title": "x", "submission": "x", "summary": "x", "base_version": "1"}

# A form of an experiment that is sent as it stands, without a YAML that counts.
FORM = dict.fromkeys((*SETTINGS, *(f"{name}-0" for name in OF_NODE)), "x") | {"n_nodes": "1", "do": "use-form"}

# Beside those of the matrix: addresses at which more is read, and what is sent there.
MORE: dict[str, dict[str, str]] = {
    "/m/tiny/L1H2/?text=bundled-texts.0&q=5&k=2": {},
    "/m/tiny/?metric=induction&survey=x": {},
    "/m/tiny/L1N5/?text={prompt}": {},
    "/m/tiny/text/{prompt}/?q=5&k=2": {},
    "/m/tiny/L1H2/pattern/?text=bundled-texts.0": {},
    "/m/tiny/L1H2/card/": {},
    "/m/tiny/L1KV1/card/": {},
    "/m/tiny/wanted/": {},
    "/m/tiny/wanted.json": {},
    "/m/tiny/texts/": {},
    "/m/tiny/texts.json": {},
    "/m/tiny/L1H2/texts/": {},
    "/m/tiny/L1H2/texts.json": {},
    "/m/tiny/L1H2/work/": {"action": "take up"},
    "/x/?model=x&task=x&part=L1H2&by=x&criterion=met&state=finished": {},
    "/x.json?model=x&task=x&part=L1H2&by=x&criterion=met&state=finished": {},
    "/x/new/?model=tiny&part=L1H2&task=brackets": {"yaml": "x", "do": "check"},
    "/x/new/?from={experiment}": FORM,
    "/x/compare/?a={experiment}&b={experiment}": {},
    "/x/{experiment}/?run=1": {},
    "/x/{experiment}.json?run=1": {},
    "/progress/": {},
    "/orphans/": {},
    "/orphans.json": {},
    "/search/": {},
    "/search.json": {},
    "/recent/": {},
    "/recent.json": {},
    "/recent.atom": {},
    "/watch/": {"target": "tiny", "on": "yes", "next": "/"},
    "/watching/": {},
    "/watching.json": {},
    "/notifications/": {},
    "/notifications.json": {},
    "/notifications/read/": {"newest": "1"},
    "/notifications/1/": {},
    "/accounts/notifications/": {"watches_own": "on", "digest": "daily"},
    "/accounts/unsubscribe/x/": {},
    "/people/{person}/block/": {"lift": "yes", "reason": "x"},
    "/people/{person}/texts/": {},
    "/groups/{group}/?x=1": {"remove": "other"},
    "/reports/{report}/": {"outcome": "other", "answer": "x"},
    "/a/{page}/moderate/?rev=1": {"action": "protect", "protection": "reviewers", "n": "1", "reason": "x"},
    "/w.json": {},
    "/w/{key}/circuit.svg": {},
    "/w/{key}/?rev=1": {},
    "/wanted/": {},
    "/drafts/": {},
    "/drafts/keep/": {"target": "new/note/tiny/L1H2", "text": "x", "title": "x"},
    "/drafts/discard/": {"target": "page/1"},
    "/write/preview/?model=tiny": {"text": "x"},
    "/complete/?kind=link&q=x": {},
    "/complete/?kind=person&q=x&model=tiny": {},
    "/complete/?kind=embed&q=tiny/L1H2%3F&model=tiny": {},
    "/write/article/?title=x": WRITTEN,
    "/write/summary/?about=tiny/L2H3": WRITTEN,
    "/write/talk/?about=tiny/L1H2": WRITTEN,
    "/write/talk/?page={page}": WRITTEN,
    "/write/note/?about=tiny/L1H2": WRITTEN,
    "/write/note/?about=tiny/L1H2&anchor=cell&text=bundled-texts.0&q=5&k=2": WRITTEN,
    "/write/note/?about=tiny/L1H2&anchor=figure&name=pattern&state=q%3D1": WRITTEN,
    "/write/note/?about=tiny/L1N5&anchor=token&dataset=sotu&row=0&position=1&examples=top": WRITTEN,
    "/write/note/?anchor=span&page={page}&quote=x&before=x": WRITTEN | {"quote": "x"},
    "/a/{page}.json": {},
    "/a/{page}.bib": {},
    "/a/{page}/?rev=1&page=1": {},
    "/a/{page}/edit/": WRITTEN,
    "/a/{page}/edit/?x=draft": WRITTEN | {"do": "draft"},
    "/a/{page}/edit/?x=merge": WRITTEN | {"do": "merge", "theirs": "2", "clash-0": "both"},
    "/a/{page}/edit/?x=conflict": WRITTEN | {"base_version": "1", "text": "y"},
    "/a/{page}/history.json": {},
    "/a/{page}/history/": {},
    "/a/{page}/diff/?from=1&to=2": {},
    "/a/{page}/revert/?to=1": {"to": "1", "base_version": "4", "submission": "x"},
    "/a/{page}/links/": {},
    "/a/{page}/manage/": {},
    "/a/{page}/rename/": {"title": "y", "reason": "x"},
    "/a/{page}/tags/": {"tags": "x"},
    "/a/{page}/retract/": {"reason": "x", "do": "retract"},
    "/accounts/login/": {"login": "author", "password": "x"},
    "/accounts/signup/": {"username": "x", "email": "x", "password1": "x", "password2": "x"},
    "/accounts/password/reset/": {"email": "x"},
    "/accounts/email/": {"email": "x", "action_add": ""},
    "/accounts/password/change/": {"oldpassword": "x", "password1": "x", "password2": "x"},
    "/accounts/sessions/": {},
    "/accounts/2fa/": {},
}


def addresses_of(world: World) -> dict[str, dict[str, str]]:
    """What to send at each address, the matrix's among them."""
    words = world.words_in("published") | world.words_in("open")
    found = {row.address.format_map(_Words(words)): row.data for row in ROWS.values()}
    return found | {address.format_map(_Words(words)): data for address, data in MORE.items()}


class _Words(dict[str, str]):
    """Of a state that a row has not, the word itself: there is no such thing, which is an answer too."""

    def __missing__(self, key: str) -> str:
        return key


def patterns_of_the_site() -> set[str]:
    """All but django-allauth's, whose forms are tested there, and what workers call."""
    return {name for name, route in patterns().items() if not route.startswith((ALLAUTH, "api/jobs/"))}
