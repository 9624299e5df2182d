"""The tokens that a head's actual output at a query promotes."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.urls import reverse

from analysis.families import absent_from_weights
from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError, Vocabulary, open_vocabulary
from wiki.experiments.texts import progress_of_promoted

from .attention import AttentionView, Text
from .measurements import Measurements
from .numbers import signed
from .own_text import OwnText
from .shading import token_name

WHAT = (
    "Direct effect of the head’s output at this query on the logits, through the final norm as it was there, against "
    "the mean over the vocabulary."
)


@dataclasses.dataclass(frozen=True)
class Promoted:
    """The tokens that a head's output at one query raises most, or why that is not known."""

    found: list[tuple[str, float]]  # name and logit
    url: str = ""  # of all queries' tokens
    absent: str = ""
    poll_url: str = ""  # where a page asks how far it is, while it is being computed

    @property
    def tokens(self) -> list[tuple[str, str]]:
        """Names and figures."""
        return [(name, signed(round(logit, 4))) for name, logit in self.found]

    def to_json(self) -> dict[str, Any]:
        if self.absent:
            return {"absent": self.absent}
        return {"tokens": [[name, round(logit, 4)] for name, logit in self.found]}


@dataclasses.dataclass(frozen=True)
class TokenTexts:
    """A model's vocabulary, or why token texts cannot be shown."""

    vocabulary: Vocabulary | None
    absent: str = ""


def token_texts_of(model: LanguageModel) -> TokenTexts:
    try:
        return TokenTexts(open_vocabulary(model))
    except StoreError as error:
        return TokenTexts(None, f"the texts of this model’s tokens are missing. {error}")


def promoted_by(view: AttentionView, component: Component, measurements: Measurements, texts: TokenTexts) -> Promoted:
    """What the head promotes at the query that a view shows."""
    text = view.choice.text
    found = text.result.promoted(text.row.index, component, view.query)
    if found is None:
        return _why_not(text, measurements)
    if texts.vocabulary is None:
        return Promoted([], absent=f"Not shown: {texts.absent}")
    names = [token_name(name) for name in texts.vocabulary.texts(found[0])]
    return Promoted(list(zip(names, found[1].tolist(), strict=True)), text.url("promoted", component))


def _why_not(text: Text, measurements: Measurements) -> Promoted:
    """Why nothing is known, as surveys and what was measured on the text say."""
    # the job publishes what it finds, which is nothing where heads do not add up
    if reason := absent_from_weights(measurements.model.family).get("promoted_tokens"):
        return Promoted([], absent=reason.capitalize())
    is_published = isinstance(text, OwnText) and text.result.later is not None
    if measurements.norm_follows or is_published:
        reason = (
            f"Not computed: in models of the family {measurements.model.family} what heads write does not add up to "
            "the residual stream, for a norm follows their sum."
        )
        return Promoted([], absent=reason)
    if not isinstance(text, OwnText):
        return Promoted([], absent="Not computed: this survey kept no outputs of heads.")
    progress = progress_of_promoted(text.prompt)
    if progress.finished:
        return Promoted([], absent="What was computed is lost or damaged.")
    if progress.failed:
        return Promoted([], absent=f"Not computed: {progress.sentence}")
    return Promoted([], absent=progress.sentence, poll_url=promoted_poll_url(text))


def promoted_poll_url(text: OwnText) -> str:
    """Where a page asks how far the tokens that heads promote on a text are."""
    return reverse("own-promoted-progress", args=[text.prompt.model_id, text.prompt.hash])
