"""From an address to the anchor of a note, and from the anchor back to the view where its thing is shown."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

from django.urls import reverse

from analysis.schema import Component, ComponentKind
from wiki.components.addresses import component_url
from wiki.components.models import LanguageModel
from wiki.experiments.results import StoreError
from wiki.markdown import UnreadableTextError
from wiki.texts.access import Person, pages_visible_to
from wiki.texts.addresses import address_of, name_of
from wiki.texts.anchors import (
    LONGEST_TOKEN,
    AnchorError,
    CellAnchor,
    FigureAnchor,
    SpanAnchor,
    TokenAnchor,
    anchor_of,
    find_span,
    readable,
    span_in,
)
from wiki.texts.models import Page

from .attention import Text, texts_of
from .downloads import FIGURES
from .errors import NotFound
from .examples import INTERVALS
from .measurements import Measurements, get_survey, measurements_of
from .neuron_examples import GROUPS
from .promoted import token_texts_of
from .shading import token_name

REPLACED = "in the survey that it was seen in, which another has replaced"
# Where on its page a figure of a head is.
PLACES = {"pattern": "attends", "histogram": "examples", "composition": "reads-writes", "examples": "examples"}


@dataclasses.dataclass(frozen=True)
class Shown:
    """Where the thing of an anchor is shown now."""

    words: str
    url: str  # of the very view; of an orphan, of the nearest there is
    orphaned: str = ""  # why the thing is not to be found any more; empty: it is there
    remark: str = ""  # what has changed about it


def asked_for(
    asked: Mapping[str, str], model: LanguageModel, component: Component | None
) -> CellAnchor | TokenAnchor | FigureAnchor:
    """The anchor on a part of a model that an address names; AnchorError or 404 with a sentence where there is none."""
    kind = asked.get("anchor", "")
    if kind == CellAnchor.kind and component and component.kind is ComponentKind.HEAD:
        measurements = measurements_of(model, survey=asked.get("survey", ""))
        texts = texts_of(measurements, own=asked.get("text", ""))
        text = next((text for text in texts if text.key == asked.get("text")), None)
        if text is None:
            raise AnchorError(f"Anchoring a note to a cell: expected a text of {component}, got “{asked.get('text')}”.")
        q, k = (_position(asked, name, len(text.row.tokens)) for name in ("q", "k"))
        if k not in text.keys_of(q):
            raise AnchorError(f"Anchoring a note to a cell: expected a key at or before its query, got {k} after {q}.")
        query_token, key_token = (token_name(text.row.tokens[at])[:LONGEST_TOKEN] for at in (q, k))
        survey = text.result.spec.hash if text.is_kept else ""
        return CellAnchor(
            text.key, q, k, asked.get("view", ""), query_token, key_token, digest_of(text.row.tokens), survey
        )
    if kind == TokenAnchor.kind and component:
        return _token_asked_for(asked, model, component)
    if kind == FigureAnchor.kind:
        anchor = FigureAnchor(asked.get("figure", ""), urlencode(parse_qsl(asked.get("state", ""))))
        if (_kind_of(component), anchor.name) not in FIGURES:
            raise AnchorError(f"Anchoring a note to a figure: expected one of this page, got “{anchor.name}”.")
        return anchor
    raise AnchorError(
        f"Anchoring a note: expected a cell of a head, a token of an example, a passage or a figure, got “{kind[:40]}”."
    )


def _token_asked_for(asked: Mapping[str, str], model: LanguageModel, component: Component) -> TokenAnchor:
    measurements = measurements_of(model, survey=asked.get("survey", ""))
    result = measurements.natural
    if result is None:
        raise AnchorError(f"Anchoring a note to a token: {measurements.why_not_natural}")
    row, texts = _position(asked, "row", result.spec.rows), token_texts_of(model)
    try:
        ((tokens, _),) = result.rows_of([row])
        position = _position(asked, "position", len(tokens))
        if texts.vocabulary is None:
            raise AnchorError(f"Anchoring a note to a token: {texts.absent}")
        (token,) = texts.vocabulary.texts(tokens[position : position + 1])
    except StoreError as error:
        raise AnchorError(f"Anchoring a note to a token: {error}") from error
    known = INTERVALS if component.kind is ComponentKind.HEAD else {group.key for group in GROUPS}
    examples = asked.get("examples", "top")
    if examples not in known:
        raise AnchorError(f"Anchoring a note to a token: expected examples among {', '.join(known)}.")
    return TokenAnchor(
        result.spec.dataset, row, position, examples, token_name(token)[:LONGEST_TOKEN], result.spec.hash
    )


def span_asked_for(asked: Mapping[str, str], page: Page) -> SpanAnchor:
    """The anchor on a passage that an address, or a form where the passage was pasted, names."""
    start = asked.get("start", "")
    near = int(start[:9]) if start.isascii() and start.isdigit() else 0
    return span_in(page, asked.get("quote", ""), before=asked.get("prefix", "")[-200:], near=near)


def _position(asked: Mapping[str, str], name: str, n: int) -> int:
    text = asked.get(name, "")
    if not (text.isascii() and text.isdigit() and int(text[:9]) < n):
        raise AnchorError(f"Anchoring a note: expected {name} from 0 to {n - 1}, got “{text[:40]}”.")
    return int(text[:9])


@functools.lru_cache(maxsize=500)
def _digest(tokens: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(tokens).encode(errors="surrogatepass")).hexdigest()[:16]


def digest_of(tokens: Sequence[str]) -> str:
    return _digest(tuple(tokens))


def _kind_of(component: Component | None) -> str:
    return component.kind.value if component else "model"


def show_anchors(pages: Sequence[Page], *, user: Person) -> dict[int, Shown]:
    """For each of these notes with an anchor, by its id, where its thing is now. Reads measurements once a model, and
    the texts that are quoted at once."""
    anchors = {page.pk: anchor for page in pages if (anchor := anchor_of(page.current))}
    models = LanguageModel.objects.in_bulk({page.model_slug for page in pages if page.pk in anchors} - {""})
    quoted = {anchor.page for anchor in anchors.values() if isinstance(anchor, SpanAnchor)}
    texts = pages_visible_to(user).select_related("current", "author", "parent").in_bulk(quoted)
    measurements: dict[str, Measurements] = {}
    shown = {}
    for page in pages:
        if page.pk not in anchors:
            continue
        anchor, model = anchors[page.pk], models.get(page.model_slug)
        if isinstance(anchor, SpanAnchor):
            shown[page.pk] = show_span(anchor, texts.get(anchor.page))
        elif model is None:
            shown[page.pk] = Shown(anchor.words, "", orphaned=f"the model {page.model_slug} is not here")
        else:
            if isinstance(anchor, CellAnchor | TokenAnchor) and model.slug not in measurements:
                measurements[model.slug] = measurements_of(model)
            component = Component.parse(page.component) if page.component else None
            shown[page.pk] = show_on_part(anchor, model, component, measurements.get(model.slug), look_up=True)
    return shown


def show_on_page(page: Page, component: Component | None, measurements: Measurements) -> Shown | None:
    """Where the thing of a note's anchor is, for the page of the part that the note is about; asks no database."""
    anchor = anchor_of(page.current)
    if anchor is None:
        return None
    if isinstance(anchor, SpanAnchor):
        return Shown(anchor.words, reverse("text", args=[anchor.page]) + anchor.fragment)
    return show_on_part(anchor, measurements.model, component, measurements, look_up=False)


def show_span(anchor: SpanAnchor, page: Page | None) -> Shown:
    """Where a passage is in the newest revision of its text."""
    if page is None or page.current is None:
        return Shown(anchor.words, "", orphaned="the text that it quotes is not here")
    where = f"{address_of(page)}?rev={anchor.revision}"
    words = f"{anchor.words} in {name_of(page)}"
    try:
        text = readable(page.current.text)
    except UnreadableTextError:
        text = ""
    place = find_span(anchor, text)
    if place is None:
        return Shown(words, where + anchor.fragment, orphaned="the text was rewritten since and has no such passage")
    if place.is_same:
        return Shown(words, address_of(page) + anchor.fragment)
    now = dataclasses.replace(anchor, quote=text[place.start : place.end][:1000] or anchor.quote)
    return Shown(words, address_of(page) + now.fragment, remark=f"the passage says now {now.words}")


def show_on_part(
    anchor: CellAnchor | TokenAnchor | FigureAnchor,
    model: LanguageModel,
    component: Component | None,
    measurements: Measurements | None,
    *,
    look_up: bool,
) -> Shown:
    """Where a cell, a token or a figure is on the page of its part. Without `look_up` nothing is asked of the database:
    surveys that are not pinned and texts of one's own are taken to be there."""
    if component is not None and not component.exists_in(model.sizes):
        return Shown(anchor.words, model.get_absolute_url(), orphaned=f"{model.slug} has no {component}")
    here = component_url(model, component) if component else model.get_absolute_url()
    if isinstance(anchor, FigureAnchor):
        gone = (_kind_of(component), anchor.name) not in FIGURES
        url = f"{here}{f'?{anchor.state}' if anchor.state else ''}#{PLACES.get(anchor.name, anchor.name)}"
        return Shown(anchor.words, url, orphaned="pages have no figure of this name any more" if gone else "")
    assert measurements is not None
    if isinstance(anchor, TokenAnchor):
        return _show_token(anchor, here, component, measurements, look_up=look_up)
    return _show_cell(anchor, here, measurements, look_up=look_up)


def _show_cell(anchor: CellAnchor, here: str, measurements: Measurements, *, look_up: bool) -> Shown:
    """A cell is found on any text of the same tokens that a pinned survey has, else in the survey it was seen in."""
    texts = texts_of(measurements, own=anchor.text if look_up and not anchor.survey else "")
    same = [text for text in texts if digest_of(text.row.tokens) == anchor.tokens]
    if same:
        text = next((text for text in same if text.key == anchor.text), same[0])
        return Shown(anchor.words, f"{here}?{dataclasses.replace(anchor, text=text.key).query}#attends")
    if anchor.survey and (not look_up or _survey_has(anchor, measurements.model)):
        url = f"{here}?survey={anchor.survey[:16]}&{anchor.query}#attends"
        return Shown(anchor.words, url, remark=REPLACED)
    if not (anchor.survey or look_up):
        return Shown(anchor.words, f"{here}?{anchor.query}#attends")
    reason = "no survey that is here has this text" if anchor.survey else "this text was somebody’s own and is gone"
    return Shown(anchor.words, here, orphaned=reason)


def _survey_has(anchor: CellAnchor, model: LanguageModel) -> bool:
    try:
        texts: list[Text] = texts_of(measurements_of(model, survey=anchor.survey))
    except NotFound:
        return False
    return any(text.key == anchor.text and digest_of(text.row.tokens) == anchor.tokens for text in texts)


def _show_token(
    anchor: TokenAnchor, here: str, component: Component | None, measurements: Measurements, *, look_up: bool
) -> Shown:
    is_head = component is not None and component.kind is ComponentKind.HEAD
    ending = f"?examples={anchor.examples}&example={anchor.row}#row-{anchor.row}"
    if not is_head:
        ending = f"rows/{anchor.row}/"
    result = measurements.natural
    if result is not None and result.spec.hash == anchor.survey:
        return Shown(anchor.words, here + ending)
    try:
        if look_up:
            get_survey(measurements.model, anchor.survey)
    except NotFound:
        return Shown(anchor.words, here, orphaned="the survey that had this example is not here")
    start, hash_, end = ending.partition("#")
    joint = "&" if "?" in start else "?"
    url = f"{here}{start}{joint}survey={anchor.survey[:16]}{hash_}{end}"
    return Shown(anchor.words, url, remark=REPLACED)
