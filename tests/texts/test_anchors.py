"""What a note is about: said in its fields, refused where it is nothing, and found again where a text changed."""

from __future__ import annotations

from typing import Any

import pytest

from wiki.accounts.models import User
from wiki.texts.anchors import (
    AnchorError,
    CellAnchor,
    FigureAnchor,
    SpanAnchor,
    TokenAnchor,
    anchor_json,
    anchor_of,
    fields_of,
    find_span,
    parse_anchor,
    readable,
    span_in,
)
from wiki.texts.links import what_links_here
from wiki.texts.models import Kind, Page
from wiki.texts.writing import create_page, save_revision

pytestmark = pytest.mark.both_databases

CELL = CellAnchor("sotu.3", 18, 3, "value", "Secretary", "of", "0123456789abcdef", "ab" * 32)
ANCHORS = [
    CELL,
    TokenAnchor("sotu", 1953, 56, "top", "of", "ab" * 32),
    SpanAnchor(12, 3, "the words", "before ", " after", 7),
    FigureAnchor("histogram", "survey=abcdef01"),
]

TEXT = "First it looks back. Then it **copies** what [[L5H1|it]] saw. Then it looks back again, as all of them do."
READ = "First it looks back. Then it copies what it saw. Then it looks back again, as all of them do."


@pytest.mark.parametrize("anchor", ANCHORS, ids=lambda anchor: anchor.kind)
def test_an_anchor_is_the_same_after_its_fields(anchor: Any, alice: User) -> None:
    assert parse_anchor(anchor_json(anchor)) == anchor
    page = create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1", fields=fields_of(anchor))
    page.refresh_from_db()
    assert anchor_of(page.current) == anchor
    assert save_revision(page, alice, "y", base_version=1).fields == fields_of(anchor), "an edit keeps it"


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"kind": "elephant"},
        {**anchor_json(CELL), "q": "18"},
        {**anchor_json(CELL), "q": True},
        {**anchor_json(CELL), "k": 100_000},
        {**anchor_json(CELL), "k": -1},
        {**anchor_json(CELL), "view": "sideways"},
        {**anchor_json(CELL), "text": "<script>"},
        {**anchor_json(CELL), "survey": "/../"},
        {**anchor_json(CELL), "extra": 1},
        {"kind": "cell", "text": "sotu.3"},
        {**anchor_json(ANCHORS[2]), "quote": ""},
        {**anchor_json(ANCHORS[2]), "quote": "x" * 1001},
        {**anchor_json(ANCHORS[2]), "prefix": "x" * 61},
        {**anchor_json(ANCHORS[2]), "page": 0},
        {**anchor_json(ANCHORS[3]), "name": "../etc"},
        {**anchor_json(ANCHORS[3]), "state": "x" * 501},
    ],
)
def test_what_is_no_anchor_is_refused_with_a_sentence(wrong: Any) -> None:
    with pytest.raises(AnchorError, match=r"Anchoring a note.*expected"):
        parse_anchor(wrong)


def test_a_text_is_read_without_its_markup() -> None:
    assert readable(TEXT) == READ
    assert readable("# One\n\n- *two* &amp; `three`\n- four") == "One two & three four"


@pytest.fixture
def page(alice: User) -> Page:
    return create_page(alice, Kind.ARTICLE, TEXT, title="Copying")


def test_a_passage_is_anchored_where_it_was_chosen(page: Page) -> None:
    anchor = span_in(page, "looks  back", before="saw. Then it ")
    assert (anchor.start, anchor.quote) == (READ.rindex("looks back"), "looks back")
    assert READ[: anchor.start].endswith(anchor.prefix)
    assert READ[anchor.start + len(anchor.quote) :].startswith(anchor.suffix)
    assert span_in(page, "looks back", near=3).start == READ.index("looks back")
    assert span_in(page, "looks back", near=70).start == READ.rindex("looks back")
    with pytest.raises(AnchorError, match="expected words of revision 1"):
        span_in(page, "**copies**")
    with pytest.raises(AnchorError):
        span_in(page, " ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (READ, "copies what it saw"),
        ("Before. " + READ, "copies what it saw"),
        ("They say: it copies what it saw.", "copies what it saw"),
        ("No copies what it saw here. First it looks back. Then it copies what it saw. Then it looks", None),
        (READ.replace("copies what", "repeats what"), "repeats what it saw"),
        (READ.replace("copies what it saw", "copies every thing " * 10), None),
        ("Something else entirely.", None),
    ],
)
def test_a_passage_is_found_again(page: Page, text: str, found: str | None) -> None:
    anchor = span_in(page, "copies what it saw")
    place = find_span(anchor, text)
    if text.startswith("No copies"):
        assert place
        assert place.start == text.rindex("copies what it saw"), "the one with the same words around it"
    elif found is None:
        assert place is None
    else:
        assert place
        assert text[place.start : place.end] == found
        assert place.is_same == (found == anchor.quote)


def test_a_short_text_around_a_passage_finds_nothing_that_was_rewritten(alice: User) -> None:
    page = create_page(alice, Kind.ARTICLE, "It copies.", title="Short")
    assert find_span(span_in(page, "copies"), "It moves.") is None


def test_a_text_knows_the_notes_on_its_passages(page: Page, alice: User) -> None:
    note = create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1", fields=fields_of(span_in(page, "copies")))
    assert [link.source for link in what_links_here([f"a/{page.pk}"], user=alice)] == [note]


def test_a_page_knows_whether_its_current_revision_has_an_anchor(alice: User) -> None:
    fields = fields_of(FigureAnchor("pattern", ""))
    page = create_page(alice, Kind.NOTE, "x", about="gpt2/L5H1", fields=fields)
    assert page.is_anchored
    save_revision(page, alice, "y", base_version=1)
    assert Page.objects.get().is_anchored
    save_revision(page, alice, "z", base_version=2, fields={})
    assert not Page.objects.get().is_anchored
