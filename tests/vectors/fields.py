"""Every column of the site's tables that holds text, and with which vectors it is filled or why it is not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from django.apps import apps
from django.db import models

from tests.markdown.vectors import xss_vectors

N = 120  # vectors in each column

# Columns that hold what people typed or files said; `world.build_hostile_world` fills each with `vectors_of`.
FILLED = (
    "accounts.User.email",
    "accounts.User.shown_name",
    "accounts.User.blocked_because",
    "accounts.ResearchGroup.name",
    "accounts.Invitation.email",
    "accounts.AccessKey.name",
    "components.LanguageModel.title",
    "components.LanguageModel.source",
    "components.LanguageModel.licence",
    "experiments.Measurement.spec",
    "experiments.Job.error",
    "experiments.Experiment.title",
    "experiments.Experiment.spec",
    "experiments.NamedPart.node",
    "experiments.Run.device",
    "experiments.Run.code",
    "experiments.Run.uploaded",
    "texts.Tag.name",
    "texts.Page.title",
    "texts.Page.visibility_reason",
    "texts.Revision.text",
    "texts.Revision.fields",
    "texts.Revision.summary",
    "texts.WithheldRevision.reason",
    "texts.Draft.target",
    "texts.Draft.title",
    "texts.Draft.text",
    "texts.Link.words",
    "texts.Watch.target",
    "texts.Alias.key",
    "texts.AuditEntry.before",
    "texts.AuditEntry.after",
    "texts.AuditEntry.reason",
    "moderation.Report.reason",
    "moderation.Report.answer",
    "following.Notification.target",
    "account.EmailAddress.email",
    "mfa.Authenticator.data",
    "usersessions.UserSession.user_agent",
)

# Of those, the ones that no page shows to whom these tests sign in, or that they show little of, and how many are seen.
SEEN_LESS = {
    "accounts.User.email": 0,  # pages show the addresses of account.EmailAddress
    "components.LanguageModel.source": 10,  # each is on its model's page alone
    "components.LanguageModel.licence": 10,
    "experiments.Job.error": 1,  # a job's page shows one
    "experiments.NamedPart.node": 0,  # pages name the experiment
    "experiments.Run.device": 10,  # each is on its experiment's page alone
    "experiments.Run.code": 0,  # of an upload the device is shown
    "following.Notification.target": 0,  # pages name what the revision is of
}

_HASH = "a hash, or drawn at random: the site makes it"
_DERIVED = "the site makes it of a text that has vectors, in letters, digits and hyphens"
_CHECKED = "refused unless it is made of letters, digits, dots, hyphens and underscores"
_FRAMEWORK = "the framework's own; no page shows it and no form fills it"
_OPERATOR = "set by who runs the site, by configuration; no page shows it"
_PROVIDER = "what another site says of an account; no provider is configured here"

# Columns that can hold no person's text, each with the reason.
EMPTY_OF_PEOPLE = {
    **dict.fromkeys(
        (
            "auth.Permission.name",
            "auth.Permission.codename",
            "auth.Group.name",
            "contenttypes.ContentType.app_label",
            "contenttypes.ContentType.model",
            "sessions.Session.session_data",
            "accounts.User.first_name",
            "accounts.User.last_name",
            "usersessions.UserSession.data",
        ),
        _FRAMEWORK,
    ),
    **dict.fromkeys(
        (
            "sessions.Session.session_key",
            "accounts.User.password",
            "accounts.Invitation.token_sha256",
            "accounts.AccessKey.secret_sha256",
            "components.LanguageModel.hash",
            "experiments.Survey.hash",
            "experiments.Measurement.hash",
            "experiments.Job.token",
            "experiments.Experiment.hash",
            "experiments.Run.artifact",
            "experiments.Run.dataset_hash",
            "experiments.TextCount.client",
            "texts.Revision.digest",
            "texts.Revision.survey",
            "texts.Revision.submission",
            "account.EmailConfirmation.key",
            "usersessions.UserSession.session_key",
        ),
        _HASH,
    ),
    **dict.fromkeys(
        (
            "accounts.User.username",
            "components.LanguageModel.slug",
            "components.LanguageModel.family",
            "experiments.Survey.dataset",
            "experiments.Survey.spec",
            "experiments.Pin.dataset",
            "experiments.Experiment.task",
            "experiments.NamedPart.component",
            "texts.Page.model_slug",
            "texts.Page.component",
            "texts.TextsVersion.scope",
            "coverage.Work.model_slug",
            "coverage.Work.component",
            "coverage.Said.model_slug",
            "coverage.Said.component",
            "coverage.Said.part",
            "coverage.SaidOfNeurons.model_slug",
        ),
        _CHECKED,
    ),
    **dict.fromkeys(
        ("accounts.ResearchGroup.slug", "texts.Page.key", "texts.Link.target", "search.Entry.words"), _DERIVED
    ),
    **dict.fromkeys(
        (
            "socialaccount.SocialApp.provider",
            "socialaccount.SocialApp.provider_id",
            "socialaccount.SocialApp.name",
            "socialaccount.SocialApp.client_id",
            "socialaccount.SocialApp.secret",
            "socialaccount.SocialApp.key",
            "socialaccount.SocialApp.settings",
        ),
        _OPERATOR,
    ),
    **dict.fromkeys(
        (
            "socialaccount.SocialAccount.provider",
            "socialaccount.SocialAccount.uid",
            "socialaccount.SocialAccount.extra_data",
            "socialaccount.SocialToken.token",
            "socialaccount.SocialToken.token_secret",
        ),
        _PROVIDER,
    ),
    "texts.Draft.fields": "no form sends any: `keep_draft` is called without",
    "following.Preferences.site": "the address that the site was asked at, one of LOUPE_HOSTS",
}


def text_columns() -> Iterator[str]:
    """Every column for text without a list of choices, as `app.Model.column`."""
    for model in apps.get_models(include_auto_created=True):
        for column in model._meta.concrete_fields:
            if isinstance(column, models.CharField | models.TextField | models.JSONField) and not column.choices:
                yield f"{model._meta.label}.{column.name}"


def longest(label: str) -> int:
    """How many characters a column has room for."""
    model, _, name = label.rpartition(".")
    return getattr(apps.get_model(model)._meta.get_field(name), "max_length", None) or 10_000


def vectors_that_fit(length: int) -> list[tuple[int, str]]:
    """Vectors that leave a mark if they run, with their numbers, those that leave an attribute or an element first."""
    fit = [
        (number, vector)
        for number, vector in enumerate(xss_vectors())
        if "__ran=1" in vector and "\0" not in vector and len(vector) + 4 <= length
    ]
    return sorted(fit, key=lambda each: not {"<", '"', "'"} & set(each[1]))


def marked(label: str, number: int, vector: str) -> str:
    """A vector that says in which column which one ran."""
    return vector.replace("__ran=1", f"__ran={10 + FILLED.index(label)}{number:03}")


def vectors_of(label: str) -> list[str]:
    """What a column is filled with, one a row."""
    return [marked(label, *each) for each in vectors_that_fit(longest(label))[:N]]


def chunks_of(label: str) -> list[str]:
    """The same, a tenth in each of ten rows: of columns whose every row is a page."""
    vectors = vectors_of(label)
    return ["\n".join(vectors[start::10]) for start in range(10)]


def numbers_seen(text: str) -> dict[str, set[int]]:
    """Which vectors of which columns are in a text."""
    found: dict[str, set[int]] = {}
    for column, number in re.findall(r"__ran=(\d\d)(\d{3})(?!\d)", text):
        if 10 <= int(column) < 10 + len(FILLED):
            found.setdefault(FILLED[int(column) - 10], set()).add(int(number))
    return found
