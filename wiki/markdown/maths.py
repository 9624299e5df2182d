"""`$…$` within a line of text and `$$…$$` on lines of its own. The TeX stays text; browsers typeset it.

Not the dollarmath plugin: it takes time quadratic in the number of openings without a close, and reads the last
character of a text as the one before the first.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from .bounds import MAX_FORMULA

# No white space inside the dollars and no digit beside them outside: “$5 and $10” is money. `\$` is no dollar.
_INLINE = re.compile(rf"(?<!\d)\$(?![\s$])((?:\\.|[^\\$]){{1,{MAX_FORMULA}}}?)(?<!\s)\$(?![\d$])", re.DOTALL)
_MAX_LINES = 100


def add_maths(parser: MarkdownIt) -> None:
    parser.inline.ruler.before("escape", "math_inline", _inline)
    parser.block.ruler.before("fence", "math_block", _block)


def _inline(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "$":
        return False
    match = _INLINE.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push("math_inline", "span", 0).content = match[1]
    state.pos = match.end()
    return True


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """From a line that begins with two dollars to the next that ends with two, no blank line between them."""
    first = _line(state, start_line)
    if state.is_code_block(start_line) or not first.startswith("$$"):
        return False
    lines: list[str] = []
    for number in range(start_line, min(end_line, start_line + _MAX_LINES)):
        line = first[2:].rstrip() if number == start_line else _line(state, number).rstrip()
        if number > start_line and (not line or state.sCount[number] < state.blkIndent):
            return False
        closed = line.endswith("$$")
        lines.append(line[:-2] if closed else line)
        if closed:
            formula = "\n".join(lines).strip()
            if not formula or len(formula) > MAX_FORMULA:
                return False
            if not silent:
                token = state.push("math_block", "div", 0)
                token.block, token.content, token.map = True, formula, [start_line, number + 1]
            state.line = number + 1
            return True
    return False


def _line(state: StateBlock, number: int) -> str:
    return state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]]
