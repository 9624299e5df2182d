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
# article, “beneath” a reply under the hidden one, “draft” what its owner has not saved.
MAY_SEE = {
    "published": set(PEOPLE),
    "retracted": set(PEOPLE),
    "hidden": {"author", "moderator"},
    "beneath": {"author", "moderator"},
    "withheld": {"moderator"},
    "draft": {"author"},
}

By = str | dict[str, str]

EVERYBODY = "yes  yes  yes  yes  yes  yes"
SIGNED_IN = "in   yes  yes  yes  yes  yes"
WRITERS__ = "in   no   yes  yes  yes  yes"
MODERATOR = "in   no   no   no   no   yes"
OPERATORS = "in   no   no   no   no   no"
NOBODY___ = "no   no   no   no   no   no"  # none of PEOPLE: measuring workers, who sign their calls, or operators
LET_IN___ = "yes  bad  bad  bad  bad  bad"

HIDDEN___ = "none none none yes  none yes"
READ_ARTICLE = {"published": EVERYBODY, "retracted": EVERYBODY, "hidden": HIDDEN___}
READ_NOTE = {"published-note": EVERYBODY, "retracted-note": EVERYBODY, "hidden-note": HIDDEN___, "beneath": HIDDEN___}
READ = READ_ARTICLE | READ_NOTE


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
    # --- accounts, people, groups
    "settings": Row("/accounts/settings/", SIGNED_IN, SIGNED_IN, {"shown_name": "A"}, closed=False),
    "invitations": Row("/accounts/invitations/", MODERATOR, MODERATOR, {"email": "", "role": "2"}, closed=False),
    "invitation": Row("/accounts/invitation/{token}/", LET_IN___, closed=False),
    "person": Row("/people/{person}/", {"open": EVERYBODY, "closed": "none none none none none yes"}),
    "change-role": Row("/people/{person}/role/", post={"open": MODERATOR}, data={"role": "1"}),
    "research-groups": Row("/groups/", EVERYBODY, "no no no no no yes", {"name": "New", "lead": "other"}),
    "research-group": Row("/groups/{group}/", EVERYBODY, "no no no yes no yes", {"add": "other"}),
    # --- texts
    "articles": Row("/w/", EVERYBODY, shows=("published", "retracted", "hidden")),
    "article": Row("/w/{key}/", READ_ARTICLE, shows=("published", "retracted", "hidden")),
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
    "survey-progress": Row("/s/{survey}/progress/", EVERYBODY),
    "pattern": Row("/s/{survey}/patterns/0/L1H2.u8", EVERYBODY),
    "layer-patterns": Row("/s/{survey}/patterns/0/L1.u8", EVERYBODY),
    "layer-neurons": Row("/s/{natural_survey}/neurons/L1.f32", EVERYBODY),
    "value-norms": Row("/s/{survey}/norms/0/L1H2.f32", EVERYBODY),
    "promoted": Row("/s/{survey}/promoted/0/L1H2.json", EVERYBODY),
    # --- operators add models
    "add-model": Row("/models/add/", OPERATORS, OPERATORS, {"source": "x"}),
    "adding-json": Row("/models/add/{hash}.json", NOBODY___),
    "adding": Row("/models/add/{hash}/", OPERATORS),
    "adding-progress": Row("/models/add/{hash}/progress/", NOBODY___),
}
