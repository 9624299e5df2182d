"""The tokens that a head's actual output at a query promotes."""

from __future__ import annotations

import dataclasses

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError, Vocabulary, open_vocabulary

from .attention import AttentionView
from .numbers import signed
from .shading import token_name

WHAT = (
    "Direct effect of the head’s output at this query on the logits, through the final norm as it was there, against "
    "the mean over the vocabulary."
)


@dataclasses.dataclass(frozen=True)
class Promoted:
    """The tokens that a head's output at one query raises most, or why that is not known."""

    tokens: list[tuple[str, str]]  # name and logit
    url: str  # of all queries' tokens
    absent: str = ""


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


def promoted_by(view: AttentionView, component: Component, model: LanguageModel, texts: TokenTexts) -> Promoted:
    """What the head promotes at the query that a view shows."""
    text = view.choice.text
    found = text.result.promoted(text.row.index, component, view.query)
    if found is None:
        reason = (
            f"Not computed: in models of the family {model.family} what heads write does not add up to the residual "
            "stream, or this survey kept no outputs."
        )
        return Promoted([], "", reason)
    if texts.vocabulary is None:
        return Promoted([], "", f"Not shown: {texts.absent}")
    names = [token_name(name) for name in texts.vocabulary.texts(found[0])]
    logits = [signed(round(float(logit), 4)) for logit in found[1]]
    return Promoted(list(zip(names, logits, strict=True)), text.url("promoted", component))
