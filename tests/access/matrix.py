"""Who gets what at which address: one row for every pattern of `wiki.urls`.

A new pattern needs one line here, under the pattern's name (its route where it has none). A row says the address, and
what a GET of it answers, what a POST; in both, one word for each of PEOPLE, in that order:

    yes   what was asked for, or a redirect to it      in    a redirect to sign in
    no    403                                          none  404: there is nothing, or nothing for you
    bad   400, 409, 410, 429: it was let through to be refused for what was sent

Words in {braces} come from `world.World`. In a row about texts they are a dictionary by state of the text, whose page
is {page}, its article's {key} and {title}. Whatever the row says, no answer may hold words of a text that MAY_SEE keeps
from who asks; `shows` names the states whose words must be in the answer for who may see them.
"""

from __future__ import annotations

import dataclasses

PEOPLE = ("anonymous", "reader", "researcher", "author", "other", "moderator")

# Of texts in each state: who may see any word of them, at any address. “withheld” is a single revision of a published
# article, “beneath” a reply under the hidden one, “draft” what its owner has not saved, “closed” an account.
MAY_SEE = {
    "published": set(PEOPLE),
    "retracted": set(PEOPLE),
    "hidden": {"author", "moderator"},
    "beneath": {"author", "moderator"},
    "withheld": {"moderator"},
    "draft": {"author"},
    "closed": {"moderator"},
}

By = str | dict[str, str]

EVERYBODY = "yes  yes  yes  yes  yes  yes"
SIGNED_IN = "in   yes  yes  yes  yes  yes"
WRITERS__ = "in   no   yes  yes  yes  yes"
MODERATOR = "in   no   no   no   no   yes"
OPERATORS = "in   no   no   no   no   no"
NOBODY___ = "no   no   no   no   no   no"  # none of PEOPLE: measuring workers, who sign their calls, or operators
NOT_AGAIN = "401  yes  yes  yes  yes  yes"
TYPED____ = "no   no   yes  yes  yes  yes"  # a form that was open when the session ended comes back with what it holds
LET_IN___ = "yes  bad  bad  bad  bad  bad"


def _sent(by: str) -> str:
    """Who is not signed in gets back what they sent, whatever there is."""
    return f"no   {by.split(maxsplit=1)[1]}"


HIDDEN_IN = "in   none none yes  none yes"
HIDDEN___ = "none none none yes  none yes"
READ_ARTICLE = {"published": EVERYBODY, "retracted": EVERYBODY, "hidden": HIDDEN___}
READ_NOTE = {"published-note": EVERYBODY, "retracted-note": EVERYBODY, "hidden-note": HIDDEN___, "beneath": HIDDEN___}
READ = READ_ARTICLE | READ_NOTE

# Who is not signed in is sent to sign in whatever there is.
REPORT = {state: "in" + by.removeprefix("yes").removeprefix("none") for state, by in READ.items()}
MODERATE = {
    "published": "in   no   no   no   no   yes",
    "retracted-note": "in   no   no   no   no   yes",
    "hidden": "in   none none no   none yes",
    "beneath": "in   none none no   none yes",
}
SEND_REPORT = {state: _sent(by) for state, by in REPORT.items()}
SEND_MODERATE = {state: _sent(by) for state, by in MODERATE.items()}
GONE_____ = "in   none none none none yes"

# Everybody who writes edits articles, and its author a note; nobody what is retracted, moderators what is hidden.
EDIT = {
    "published": WRITERS__,
    "retracted": "in   no   no   no   no   no",
    "hidden": "in   none none no   none yes",
    "published-note": "in   no   no   yes  no   yes",
    "retracted-note": "in   no   no   no   no   no",
    "hidden-note": "in   none none no   none yes",
    "beneath": "in   none none no   none yes",
}
ASKED_OF_ARTICLES = {state: by for state, by in EDIT.items() if state in READ_ARTICLE}
# What is posted by nobody is for the view to answer, which gives back what was typed.
SAVE = {state: "none" if "none" in by else "no" for state, by in EDIT.items()}
SAVE = {state: by.replace("in  ", f"{SAVE[state]:4}") for state, by in EDIT.items()}
SENT = {state: _sent(by) for state, by in SAVE.items()}
SENT_ARTICLE = {state: by for state, by in SENT.items() if state in READ_ARTICLE}
REPLY = {state: by for state, by in EDIT.items() if state in {"retracted", "retracted-note"}} | {
    "published": WRITERS__,
    "published-note": WRITERS__,
    "hidden": "in   none none no   none no",
    "beneath": "in   none none no   none no",
}
SAY = {state: ("none" if "none" in by else "no  ") + by[4:] for state, by in REPLY.items()}
MANAGE = EDIT | {
    "retracted": "in   no   no   no   no   yes",
    "retracted-note": "in   no   no   yes  no   yes",
    "beneath": HIDDEN_IN,
}
RETRACT = {
    "published": "no   no   no   no   no   yes",
    "published-note": "no   no   no   yes  no   yes",
    "retracted": "no   no   no   no   no   yes",
    "retracted-note": "no   no   no   yes  no   yes",
    "hidden": "no   none none no   none no",
    "hidden-note": "no   none none no   none no",
    "beneath": _sent(HIDDEN___),
}
NEW_WORDS = {"text": "Some words", "base_version": "{version}"}
BLOCK = {"days": "7", "reason": "Spam"}


@dataclasses.dataclass(frozen=True)
class Row:
    address: str
    get: By = ""  # empty: it is only posted to
    post: By = ""  # empty: it is only read
    data: dict[str, str] = dataclasses.field(default_factory=dict)  # what is posted
    shows: tuple[str, ...] = ()
    closed: bool = True  # whether LOUPE_ANONYMOUS_READING=no closes it to who is not signed in


# django-allauth's own pages, tested there: held to giving nothing away and to no error.
ALLAUTH = "accounts/"

ROWS = {
    # --- the site's health, and what workers call
    "health": Row("/health/", EVERYBODY, closed=False),
    "api/jobs/<int:job_id>/claim/": Row("/api/jobs/1/claim/", post=NOBODY___, closed=False),
    "api/jobs/<int:job_id>/renew/": Row("/api/jobs/1/renew/", post=NOBODY___, closed=False),
    "api/jobs/<int:job_id>/finish/": Row("/api/jobs/1/finish/", post=NOBODY___, closed=False),
    "api/jobs/<int:job_id>/fail/": Row("/api/jobs/1/fail/", post=NOBODY___, closed=False),
    # by access keys alone: sessions are not read
    "upload-run": Row("/api/runs/", post="401  401  401  401  401  401", closed=False),
    # --- accounts, people, groups
    "settings": Row("/accounts/settings/", SIGNED_IN, _sent(SIGNED_IN), {"shown_name": "A"}, closed=False),
    "access-keys": Row("/accounts/keys/", SIGNED_IN, _sent(SIGNED_IN), {"name": "Mine", "days": "30"}, closed=False),
    "remove-access-key": Row("/accounts/keys/{access_key}/remove/", post="no   none none yes  none none", closed=False),
    "invitations": Row("/accounts/invitations/", MODERATOR, _sent(MODERATOR), {"email": "", "role": "2"}, closed=False),
    "invitation": Row("/accounts/invitation/{token}/", LET_IN___, closed=False),
    "person": Row(
        "/people/{person}/",
        {"open": EVERYBODY, "gone": "none none none none none yes", "published": EVERYBODY, "hidden": EVERYBODY},
        shows=("published", "hidden"),
    ),
    "change-role": Row("/people/{person}/role/", post={"open": _sent(MODERATOR)}, data={"role": "1"}),
    "research-groups": Row("/groups/", EVERYBODY, "no no no no no yes", {"name": "New", "lead": "other"}),
    "research-group": Row("/groups/{group}/", EVERYBODY, "no no no yes no yes", {"add": "other"}),
    # --- texts
    "articles": Row("/w/", EVERYBODY, shows=("published", "retracted", "hidden")),
    "text": Row("/a/{page}/", READ, shows=("published", "retracted", "hidden", "beneath")),
    "article": Row("/w/{key}/", READ_ARTICLE, shows=("published", "retracted", "hidden")),
    "articles-json": Row("/w.json", EVERYBODY, shows=("published", "retracted", "hidden")),
    "circuit-svg": Row("/w/{key}/circuit.svg", READ_ARTICLE),
    "wanted": Row("/wanted/", EVERYBODY, shows=("published",)),
    "drafts": Row("/drafts/", SIGNED_IN, shows=("draft",)),
    "keep-draft": Row(
        "/drafts/keep/",
        post={"published": "no   yes  yes  yes  yes  yes", "hidden": "no   none none yes  none yes"},
        data={"target": "page/{page}", "text": "What is typed", "base_version": "1"},
    ),
    "discard-draft": Row("/drafts/discard/", post={"published": _sent(EVERYBODY)}, data={"target": "page/{page}"}),
    "written-by": Row("/people/author/texts/", EVERYBODY, shows=("published", "retracted", "hidden")),
    "writing-help": Row("/help/writing/", EVERYBODY),
    "preview": Row("/write/preview/", post=TYPED____, data={"text": "Some words"}),
    "complete": Row("/complete/?kind=link&q=about", EVERYBODY, shows=("published", "hidden")),
    "new-article": Row("/write/article/", WRITERS__, TYPED____, {"title": "New", "text": "Some words"}),
    "new-summary": Row("/write/summary/?about=tiny/L1H3", WRITERS__, TYPED____, {"text": "Some words"}),
    "new-talk": Row("/write/talk/?page={page}", REPLY, SAY, {"title": "Well", "text": "Some words"}),
    "new-note": Row("/write/note/?about=tiny/L1H3", WRITERS__, TYPED____, {"text": "Some words"}),
    "text-json": Row("/a/{page}.json", READ, shows=("published", "retracted", "hidden", "beneath")),
    "bibtex": Row("/a/{page}.bib", READ),
    "edit-text": Row("/a/{page}/edit/", EDIT, SAVE, NEW_WORDS, shows=("published", "retracted", "hidden")),
    "history-json": Row("/a/{page}/history.json", READ),
    "history": Row("/a/{page}/history/", READ),
    "diff": Row("/a/{page}/diff/", READ, shows=("published", "retracted", "hidden", "beneath")),
    "revert": Row("/a/{page}/revert/?to=1", ASKED_OF_ARTICLES, SENT_ARTICLE, {"to": "1", "base_version": "{version}"}),
    "links-to": Row("/a/{page}/links/", READ),
    "manage-text": Row("/a/{page}/manage/", MANAGE),
    "rename": Row("/a/{page}/rename/", post=SENT_ARTICLE, data={"title": "Called otherwise", "reason": "Clearer"}),
    "name-article": Row("/a/{page}/names/", post=SENT_ARTICLE, data={"name": "Called so too"}),
    "change-tags": Row("/a/{page}/tags/", post=SENT, data={"tags": "heads"}),
    "retract": Row("/a/{page}/retract/", post=RETRACT, data={"reason": "Wrong"}),
    "orphans-json": Row("/orphans.json", EVERYBODY, shows=("published", "retracted", "hidden")),
    "replications": Row("/w/replications/", EVERYBODY),
    "replications-json": Row("/w/replications.json", EVERYBODY),
    "orphans": Row("/orphans/", EVERYBODY, shows=("published", "retracted", "hidden")),
    # --- finding and following
    "search": Row("/search/?q=edited", EVERYBODY, shows=("published", "hidden")),
    "search-json": Row("/search.json?q=edited", EVERYBODY, shows=("published", "hidden")),
    "recent": Row("/recent/", EVERYBODY, shows=("published", "retracted", "hidden")),
    "recent-json": Row("/recent.json", EVERYBODY, shows=("published", "retracted", "hidden")),
    "recent-atom": Row("/recent.atom", EVERYBODY, shows=("published", "retracted", "hidden")),
    "watch": Row("/watch/", post=_sent(SIGNED_IN), data={"target": "tiny/L1H2", "on": "yes"}),
    "watching": Row("/watching/", SIGNED_IN),
    "watching-json": Row("/watching.json", NOT_AGAIN),
    "notifications": Row("/notifications/", SIGNED_IN),
    "notifications-json": Row("/notifications.json", NOT_AGAIN),
    "read-notifications": Row("/notifications/read/", post=_sent(SIGNED_IN), data={"newest": "1"}),
    "notification": Row("/notifications/{told}/", "in none none none yes none"),
    "notification-settings": Row(
        "/accounts/notifications/", SIGNED_IN, _sent(SIGNED_IN), {"digest": "off"}, closed=False
    ),
    "unsubscribe": Row("/accounts/unsubscribe/{unsubscribing}/", EVERYBODY, EVERYBODY, closed=False),
    # --- moderation
    "report-text": Row("/a/{page}/report/", REPORT, SEND_REPORT, {"reason": "Spam"}),
    "moderate-text": Row("/a/{page}/moderate/", MODERATE, SEND_MODERATE, {"action": "protect", "reason": "A war"}),
    "reports": Row("/reports/?state=all", SIGNED_IN, shows=("hidden",)),
    "reports-json": Row("/reports.json?state=all", SIGNED_IN, shows=("hidden",)),
    "report": Row("/reports/{report}/", "in none none yes none yes", "no none none no none yes", {"take": "yes"}),
    "block-person": Row(
        "/people/{person}/block/", {"open": MODERATOR, "gone": GONE_____}, {"open": _sent(MODERATOR)}, BLOCK
    ),
    "audit": Row("/audit/", MODERATOR, shows=("hidden",)),
    "audit-json": Row("/audit.json", MODERATOR, shows=("hidden",)),
    # --- measured models
    "home": Row("/", EVERYBODY),
    "home-json": Row("/index.json", EVERYBODY),
    "jump": Row("/jump/?q=tiny/L1H2", EVERYBODY),
    "model-json": Row("/m/tiny.json", EVERYBODY),
    "model": Row("/m/tiny/", EVERYBODY),
    "model-scatter": Row("/m/tiny/scatter.json", EVERYBODY),
    "model-progress": Row("/m/tiny/progress/", EVERYBODY),
    "random-head": Row("/m/tiny/random/", EVERYBODY),
    "layer-json": Row("/m/tiny/L1.json", EVERYBODY),
    "layer": Row("/m/tiny/L1/", EVERYBODY),
    "head-json": Row("/m/tiny/L1H2.json", EVERYBODY),
    "head": Row("/m/tiny/L1H2/", EVERYBODY),
    "random-neuron": Row("/m/tiny/random-neuron/", EVERYBODY),
    "neuron-json": Row("/m/tiny/L1N5.json", EVERYBODY),
    "neuron": Row("/m/tiny/L1N5/", EVERYBODY),
    "neuron-row": Row("/m/tiny/L1N5/rows/0/", EVERYBODY),
    "kv-head-json": Row("/m/tiny/L1KV1.json", EVERYBODY),
    "kv-head": Row("/m/tiny/L1KV1/", EVERYBODY),
    "model-figure": Row("/m/tiny/figures/finder.csv", EVERYBODY),
    "figure": Row("/m/tiny/L1H2/figures/metrics.csv", EVERYBODY),
    "component-by-any-name": Row("/m/tiny/1.2", EVERYBODY),
    "own-text-form-json": Row("/m/tiny/text.json", EVERYBODY),
    "own-text": Row("/m/tiny/text/", EVERYBODY, EVERYBODY, {"text": "The cat sat"}),
    "own-text-json": Row("/m/tiny/text/{prompt}.json", EVERYBODY),
    "own-text-page": Row("/m/tiny/text/{prompt}/", EVERYBODY),
    "own-text-progress": Row("/m/tiny/text/{prompt}/progress/", EVERYBODY),
    "own-promoted-progress": Row("/m/tiny/text/{prompt}/promoted/?head=L1H2", EVERYBODY),
    "kept-text-json": Row("/m/tiny/text/kept/bundled-texts.0.json", EVERYBODY),
    "kept-text": Row("/m/tiny/text/kept/bundled-texts.0/", EVERYBODY),
    "own-pattern": Row("/t/{prompt}/patterns/L1H2.u8", EVERYBODY),
    "own-layer-patterns": Row("/t/{prompt}/patterns/L1.u8", EVERYBODY),
    "own-value-norms": Row("/t/{prompt}/norms/L1H2.f32", EVERYBODY),
    "own-promoted": Row("/t/{prompt}/promoted/L1H2.json", EVERYBODY),
    "survey-json": Row("/s/{survey}.json", EVERYBODY),
    "survey": Row("/s/{survey}/", EVERYBODY),
    "survey-by-beginning": Row("/s/{beginning}/", EVERYBODY),
    "survey-progress": Row("/s/{survey}/progress/", EVERYBODY),
    "pattern": Row("/s/{survey}/patterns/0/L1H2.u8", EVERYBODY),
    "layer-patterns": Row("/s/{survey}/patterns/0/L1.u8", EVERYBODY),
    "layer-neurons": Row("/s/{natural_survey}/neurons/L1.f32", EVERYBODY),
    "value-norms": Row("/s/{survey}/norms/0/L1H2.f32", EVERYBODY),
    "promoted": Row("/s/{survey}/promoted/0/L1H2.json", EVERYBODY),
    # --- experiments
    "experiments": Row("/x/", EVERYBODY),
    "experiments-json": Row("/x.json", EVERYBODY),
    "new-experiment": Row("/x/new/", WRITERS__, TYPED____, {"yaml": "{question}", "do": "run"}),
    "compare-experiments": Row("/x/compare/?a={experiment}&b={experiment}", EVERYBODY),
    "experiment-json": Row("/x/{experiment}.json", EVERYBODY),
    "experiment": Row("/x/{experiment}/", EVERYBODY),
    "run-progress": Row("/x/{experiment}/progress/", EVERYBODY),
    "run-again": Row("/x/{experiment}/again/", post=_sent(WRITERS__)),
    "stop-run": Row("/x/{experiment}/stop/", post="no   no   no   yes  no   yes", data={"run": "{run}"}),
    "experiment-by-beginning": Row("/x/{experiment_digits}/", EVERYBODY),
    # --- what is written about measured models
    "home-progress": Row("/progress/", EVERYBODY),
    "live-pattern": Row("/m/tiny/L1H2/pattern/", EVERYBODY),
    "card": Row("/m/tiny/L1H0/card/", EVERYBODY, shows=("published",)),
    "kv-head-card": Row("/m/tiny/L1KV1/card/", EVERYBODY),
    "wanted-parts-json": Row("/m/tiny/wanted.json", EVERYBODY),
    "wanted-parts": Row("/m/tiny/wanted/", EVERYBODY),
    "work-on": Row("/m/tiny/L1H2/work/", post=WRITERS__, data={"action": "take up"}),
    "model-texts-json": Row("/m/tiny/texts.json", EVERYBODY),
    "model-texts": Row("/m/tiny/texts/", EVERYBODY),
    "component-texts-json": Row("/m/tiny/L1H2/texts.json", EVERYBODY, shows=("published", "retracted", "hidden")),
    "component-texts": Row("/m/tiny/L1H2/texts/", EVERYBODY, shows=("published", "retracted", "hidden")),
    # --- operators add models
    "add-model": Row("/models/add/", OPERATORS, OPERATORS, {"source": "x"}),
    "adding-json": Row("/models/add/{hash}.json", NOBODY___),
    "adding": Row("/models/add/{hash}/", OPERATORS),
    "adding-progress": Row("/models/add/{hash}/progress/", NOBODY___),
}
