"""A person's own text: what may be typed, and the measured text as the pages of heads, layers and neurons show it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from django.urls import reverse
from django.utils.safestring import SafeString

from analysis.schema import Component, DatasetKind
from wiki.components.models import LanguageModel
from wiki.experiments.models import Measurement
from wiki.experiments.results import KeptTexts, StoreError, open_prompt, open_survey
from wiki.experiments.texts import KEPT_DAYS, MIN_DIGITS, find_prompt

from .attention import Text
from .errors import NotFound
from .numbers import short
from .reading import once
from .shading import token_name
from .token_buttons import token_buttons

MAX_CHARACTERS = 2_000
# Digits of a text's hash in the links that pages make.
LINK_DIGITS = 12


class OwnTextError(Exception):
    """What was typed cannot be measured; the message is one sentence."""


def read_text(typed: str) -> str:
    """What was typed, with line ends as \\n and nothing else changed."""
    text = typed.replace("\r\n", "\n").replace("\r", "\n")
    doing = "Reading your text"
    if not text.strip():
        raise OwnTextError(f"{doing}: expected 1 to {MAX_CHARACTERS:,} characters, got none.")
    if len(text) > MAX_CHARACTERS:
        raise OwnTextError(f"{doing}: expected 1 to {MAX_CHARACTERS:,} characters, got {len(text):,}.")
    for position, character in enumerate(text, start=1):
        if _is_control(character):
            raise OwnTextError(
                f"{doing}: expected no control characters but line breaks and tabs, got U+{ord(character):04X} as "
                f"character {position:,}."
            )
    return text


def _is_control(character: str) -> bool:
    """C0, DEL and C1 but for \\n and \\t; and halves of surrogate pairs, which are no characters."""
    code = ord(character)
    return (code < 32 and character not in "\n\t") or 127 <= code < 160 or 0xD800 <= code < 0xE000


@dataclasses.dataclass(frozen=True)
class OwnText(Text):
    """A text that somebody typed, under the name that the URL has for it."""

    result: KeptTexts  # type: ignore[assignment]  # all that viewers read of a survey's result
    prompt: Measurement
    name: str

    @property
    def key(self) -> str:
        return self.name

    @property
    def kind(self) -> DatasetKind:
        return DatasetKind.NATURAL

    @property
    def is_kept(self) -> bool:
        return False

    def url(self, name: str, component: Component) -> str:
        """Where something of a head on this text is: `pattern`, `value-norms` or `promoted`."""
        return reverse(f"own-{name}", args=[self.prompt.hash, component])

    def layer_url(self, layer: int) -> str:
        """Where the patterns of all heads of a layer on this text are, as bytes [head, dest, src]."""
        return reverse("own-layer-patterns", args=[self.prompt.hash, Component(layer)])


@once
def own_text(model: LanguageModel, name: str) -> OwnText | None:
    """The measured text that `?text=` names by 8 or more digits of its hash; None where it names none, or one that is
    not measured yet or not readable."""
    prompt = find_prompt(model, name)
    return measured_text(prompt, name=name) if prompt and prompt.finished_at else None


def measured_text(prompt: Measurement, *, name: str = "") -> OwnText | None:
    """A finished text; None where what was measured is lost or damaged."""
    try:
        result = open_prompt(prompt)
    except StoreError:
        return None
    return OwnText(result, result.pattern_rows[0], prompt, name or prompt.hash[:LINK_DIGITS])


def get_prompt(model: LanguageModel, name: str) -> Measurement:
    """The text of a model whose hash begins so; 404 with a sentence where there is none."""
    prompt = find_prompt(model, name)
    if prompt is None:
        raise NotFound(
            f"Looking for the text “{name[:64]}” of {model.slug}: expected {MIN_DIGITS} or more digits of the hash of "
            f"one, got none that begins so. Texts are kept for {KEPT_DAYS} days.",
            slug=model.slug,
        )
    return prompt


def kept_texts(model: LanguageModel) -> list[Text]:
    """The texts that the pinned surveys of a model kept, natural ones first; unreadable surveys are left out."""
    texts: list[Text] = []
    for pin in model.pins.select_related("survey"):
        if pin.survey.finished_at is None:
            continue
        try:
            result = open_survey(pin.survey)
        except StoreError:
            continue
        texts += [Text(result, row) for row in result.pattern_rows]
    return sorted(texts, key=lambda text: text.kind is DatasetKind.REPEATED)


@dataclasses.dataclass(frozen=True)
class NeuronOnText:
    """One neuron on a person's own text, for `pages/_own_text_neuron.html`."""

    text: OwnText
    component: Component
    values: np.ndarray  # float32 [pos], not a number at BOS, where it is not kept; empty where nothing is
    absent: str = ""  # why there are no values

    @property
    def url(self) -> str:
        return reverse("own-text-page", args=[self.text.prompt.model_id, self.text.prompt.hash])

    @property
    def largest(self) -> float:
        """The largest magnitude on the text, which has the darkest shade."""
        return float(np.nanmax(np.abs(self.values)))

    @property
    def largest_figure(self) -> str:
        return short(self.largest)

    @property
    def quarter_figure(self) -> str:
        """The number of half the shade, for shades follow the square root."""
        return short(self.largest / 4)

    @property
    def extremes(self) -> tuple[int, int]:
        """The positions of the highest and the lowest value."""
        return int(np.nanargmax(self.values)), int(np.nanargmin(self.values))

    @property
    def markup(self) -> SafeString:
        return token_buttons(self.text.row.tokens, self.values, largest=self.largest, framed=self.extremes)

    @property
    def summary(self) -> str:
        high, low = (
            f"“{token_name(self.text.row.tokens[at])}”, position {at}, {short(float(self.values[at]))}"
            for at in self.extremes
        )
        return f"{self.component} is highest on {high}, and lowest on {low}."

    def to_json(self) -> dict[str, Any]:
        """What the part of the page shows; the activation at BOS is null, for it is not kept."""
        found = {"absent": self.absent} if self.absent else {"activations": [round(v, 6) for v in self.values.tolist()]}
        return {"text": self.text.prompt.hash, "tokens": self.text.row.tokens, **found}


def neuron_on_text(model: LanguageModel, name: str, component: Component) -> NeuronOnText | None:
    """What a neuron does on the text that `?text=` names; None where that names no measured text."""
    text = own_text(model, name)
    if text is None:
        return None
    nothing = np.empty(0, dtype=np.float32)
    try:
        values = text.result.activations(text.row.index, component)
    except StoreError as error:
        return NeuronOnText(text, component, nothing, absent=str(error))
    if values is None:
        return NeuronOnText(text, component, nothing, absent="what neurons do on this text was not kept.")
    return NeuronOnText(text, component, values)


def require_neuron_on_text(model: LanguageModel, name: str, component: Component, *, doing: str) -> NeuronOnText:
    """What a neuron does on the text that `?text=` names; 404 with a sentence where that names no measured text."""
    own = neuron_on_text(model, name, component)
    if own is None:
        raise NotFound(
            f"{doing}: expected {MIN_DIGITS} or more digits of the hash of a measured text, got “{name[:64]}”.",
            slug=model.slug,
        )
    return own
