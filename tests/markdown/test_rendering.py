"""What the syntax of texts becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.markdown.resolving import resolve_all, resolve_missing, resolve_none
from wiki.markdown import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_LINES,
    Kind,
    Relation,
    Resolved,
    State,
    Target,
    TextTooDeepError,
    TextTooLongError,
    links_of,
    render,
)

EXTERNAL = 'rel="nofollow noopener noreferrer"'


def html(text: str, resolve=resolve_all) -> str:
    return render(text, prefix="note-1", resolve=resolve).html.strip()


def written(text: str) -> list[str]:
    return [text[link.start : link.end] for link in links_of(text)]


def test_all_targets_are_asked_for_at_once_and_each_once() -> None:
    asked: list[list[Target]] = []

    def resolve(targets: Sequence[Target]) -> Mapping[Target, Resolved]:
        asked.append(list(targets))
        return resolve_all(targets)

    render("[[IOI]] and @alice\n\n- [[IOI|again]], ![[gpt2/L5H1?text=2]], L5H1", prefix="a", resolve=resolve)
    assert asked == [
        [
            Target(Kind.WIKILINK, "IOI"),
            Target(Kind.MENTION, "alice"),
            Target(Kind.EMBED, "gpt2/L5H1", "text=2"),
            Target(Kind.NAME, "L5H1"),
        ]
    ]
    render("Nothing is named here.", prefix="a", resolve=resolve)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[IOI]]", '<a class="wikilink" href="/there/">IOI</a>'),
        ("[[ the  IOI |this one]]", '<a class="wikilink" href="/there/">this one</a>'),
        (
            "[[same-role-as::gpt2/L5H5]]",
            '<a class="wikilink" href="/there/" data-relation="same-role-as">gpt2/L5H5</a>',
        ),
        ("[[C++::new]]", '<a class="wikilink" href="/there/">C++::new</a>'),
        ("see ![[gpt2/L5H1?text=a b]]", 'see <a class="embed" href="/there/?text=a%20b">gpt2/L5H1</a>'),
        ("by @alice.", 'by <a class="mention" href="/there/">alice</a>.'),
        ("me@example.org", "me@example.org"),
        ("_@alice_", '<em><a class="mention" href="/there/">alice</a></em>'),
        ("a_@alice", "a_@alice"),
        (
            "gpt2/L5H1",
            '<span class="component-name" data-component="gpt2/L5H1" data-start="0" data-end="9">gpt2/L5H1</span>',
        ),
        (
            "é `L3N1024` (L3N1024)",
            "é <code>L3N1024</code> "
            '(<span class="component-name" data-component="L3N1024" data-start="13" data-end="20">L3N1024</span>)',
        ),
        (
            "**attn-only-2l/L0H3**",
            '<strong><span class="component-name" data-component="attn-only-2l/L0H3" data-start="2" data-end="19">'
            "attn-only-2l/L0H3</span></strong>",
        ),
        ("xL5H1 L5H1x L5H1.5 a/b/L5H1", "xL5H1 L5H1x L5H1.5 a/b/L5H1"),
        ("`L5H1 [[a]] @alice $x$`", "<code>L5H1 [[a]] @alice $x$</code>"),
        ("$L5H1 [[a]] @alice$", '<span class="math inline">L5H1 [[a]] @alice</span>'),
        ("[L5H1 @alice](/m/)", '<a href="/m/">L5H1 @alice</a>'),
        ("[a [[b]]](/m/)", '[a <a class="wikilink" href="/there/">b</a>](/m/)'),
        ("$5 and $10", "$5 and $10"),
        ("$x$ is 5", '<span class="math inline">x</span> is 5'),
        (r"\$x$ and $a\$b$", r'$x$ and <span class="math inline">a\$b</span>'),
        ("$a<b$", '<span class="math inline">a&lt;b</span>'),
        ("[a](https://example.org/)", f'<a href="https://example.org/" {EXTERNAL}>a</a>'),
        ("[a](/m/gpt2/)", '<a href="/m/gpt2/">a</a>'),
        ("[a](#part)", '<a href="#note-1--part">a</a>'),
        ("[a](//example.org)", "[a](//example.org)"),
        ("[a](m/gpt2)", "[a](m/gpt2)"),
        ("![seen](/m/gpt2/map.svg)", '<img src="/m/gpt2/map.svg" alt="seen">'),
        ("![L5H1, [[IOI]] @bob](/m/a.svg)", '<img src="/m/a.svg" alt="L5H1, IOI @bob">'),
        ("![*seen*](https://example.org/a.png)", f'<a href="https://example.org/a.png" {EXTERNAL}>seen</a>'),
        ("[![seen](https://example.org/a.png)](/m/)", '<a href="/m/">seen</a>'),
        ("~~no~~ **yes**", "<s>no</s> <strong>yes</strong>"),
        ("<b>no</b>", "&lt;b&gt;no&lt;/b&gt;"),
    ],
)
def test_a_line_becomes(text: str, expected: str) -> None:
    assert html(text) == f"<p>{expected}</p>"


def test_an_embed_alone_in_its_paragraph_is_a_figure() -> None:
    assert html("![[gpt2/L5H1?text=2|Attends to itself]]") == (
        '<figure class="embed"><figcaption>'
        '<a class="embed" href="/there/?text=2">Attends to itself</a></figcaption></figure>'
    )


def test_what_is_missing_says_so_and_links_to_where_it_can_be_made() -> None:
    assert html("[[IOI]] @bob L9H9", resolve_missing) == (
        '<p><a class="wikilink missing" href="/new/">IOI</a> <a class="mention missing" href="/new/">bob</a> L9H9</p>'
    )


def test_what_the_resolver_does_not_know_has_no_address() -> None:
    assert html("[[IOI]] @bob L9H9", resolve_none) == '<p><span class="wikilink missing">IOI</span> @bob L9H9</p>'


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "//example.org/", "https://example.org/", "", "/\\example.org"]
)
def test_a_resolver_that_leads_away_from_the_site_is_refused(href: str) -> None:
    with pytest.raises(ValueError, match="expected an address of this site"):
        html("[[IOI]]", lambda targets: {target: Resolved(href, "IOI", State.EXISTS) for target in targets})


def test_blocks_of_maths_and_code_keep_what_is_in_them() -> None:
    assert html("$$\na < b\n[[c]]\n$$") == '<div class="math block">a &lt; b\n[[c]]</div>'
    assert html("```python\n[[c]] $x$\n```") == '<pre><code class="language-python">[[c]] $x$\n</code></pre>'
    assert html("$$\na\n\nb\n$$").count("math") == 0, "a blank line ends what looked like a formula"


def test_tables_align_by_class_and_tasks_are_check_boxes() -> None:
    assert '<td class="align-right">1</td>' in html("|a|\n|-:|\n|1|")
    assert html("- [x] done\n- [ ] open") == (
        '<ul>\n<li class="task"><input type="checkbox" disabled="" aria-label="done" checked=""> done</li>\n'
        '<li class="task"><input type="checkbox" disabled="" aria-label="open"> open</li>\n</ul>'
    )


def test_headings_lie_below_the_title_of_the_page_and_have_ids_of_their_own() -> None:
    rendered = render("# One\n\n## [[IOI|Two]] $x$\n\nOne\n===\n\n###### Six", prefix="p", resolve=resolve_all)
    assert [(heading.level, heading.text, heading.anchor) for heading in rendered.headings] == [
        (2, "One", "p--one"),
        (3, "Two x", "p--two-x"),
        (2, "One", "p--one---2"),
        (6, "Six", "p--six"),
    ]
    assert '<h2 id="p--one">One</h2>' in rendered.html
    assert '<h2 id="p--one---2">One</h2>' in rendered.html


def test_footnotes_of_two_texts_do_not_meet() -> None:
    one, two = (render("a[^x]\n\n[^x]: b", prefix=prefix, resolve=resolve_all).html for prefix in ("t-1", "t-2"))
    assert 'id="fn-t-1-1"' in one
    assert 'id="fn-t-2-1"' in two
    assert "t-1" not in two


def test_links_say_what_where_and_how_they_were_written() -> None:
    text = "See [[contradicts::IOI|that]].\r\n\r\n> ![[gpt2/L5H1?text=2]]\r\n> by @alice"
    links = links_of(text)
    assert [(link.kind, link.relation, link.target, link.query, link.shown) for link in links] == [
        (Kind.WIKILINK, Relation.CONTRADICTS, "IOI", "", "that"),
        (Kind.EMBED, Relation.MENTIONS, "gpt2/L5H1", "text=2", None),
        (Kind.MENTION, Relation.MENTIONS, "alice", "", None),
    ]
    assert links == render(text, prefix="a", resolve=resolve_none).links


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a [[b]] `[[b]]` [[b]]", ["[[b]]", "[[b]]"]),
        ("|[[a]]|`[[a]]`|\n|-|-|\n|[[b\\|c]]|x [[b]] [[b\\|c]]|", ["[[a]]", r"[[b\|c]]", "[[b]]", r"[[b\|c]]"]),
        ("# [[a]] #\n\n- [ ] [[b]]\n  and @bob\n\n1. > [[c]]", ["[[a]]", "[[b]]", "@bob", "[[c]]"]),
        ("x[^1] [[z]]\n\n[^1]: [[a]]\n\n    [[b]]\n\n[[c]]", ["[[z]]", "[[a]]", "[[b]]", "[[c]]"]),
    ],
)
def test_spans_are_of_the_source(text: str, expected: list[str]) -> None:
    assert written(text) == expected
    assert [link.start for link in links_of(text)] == sorted({link.start for link in links_of(text)})


def test_a_span_is_of_the_occurrence_that_is_a_link() -> None:
    (link,) = links_of("`[[b]]` [[b]]")
    assert (link.start, link.end) == (8, 13)


def test_a_text_that_is_too_long_is_refused_with_a_sentence() -> None:
    render("a" * MAX_BYTES, prefix="a", resolve=resolve_none)
    with pytest.raises(TextTooLongError, match=r"^Reading a text: expected at most 200 kB, got 200\.0 kB; make it two"):
        links_of("é" * (MAX_BYTES // 2) + "a")
    with pytest.raises(
        TextTooLongError, match=r"^Reading a text: expected at most 10000 lines, got 10001; make it two"
    ):
        links_of("\n" * MAX_LINES)


def test_quotes_and_lists_that_lie_too_deep_are_refused_and_never_dropped() -> None:
    assert "deepest" in html("> " * MAX_DEPTH + "deepest")
    with pytest.raises(TextTooDeepError, match=r"^Reading a text: expected quotes and lists at most"):
        html("> " * (MAX_DEPTH + 1) + "deepest")


def test_emphasis_that_lies_too_deep_stays_as_typed() -> None:
    assert "deepest" in html("*a **a " * 100 + "deepest")


@pytest.mark.parametrize("prefix", ["", "A", "1", "a--b", 'a"', "a b"])
def test_a_prefix_that_could_not_begin_an_id_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="expected a prefix"):
        render("a", prefix=prefix, resolve=resolve_none)
