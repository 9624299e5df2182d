"""Components whose names begin as somebody types them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from analysis.schema import Component, SchemaError, Sizes

# The beginnings of the notations that people type; the names of the groups are those of a component's parts.
_BEGINNINGS = tuple(
    re.compile(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        r"L(?P<layer>\d{1,5})[.\s]?H(?P<head>\d{0,5})",
        r"L(?P<layer>\d{1,5})[.\s]?N(?P<neuron>\d{0,7})",
        r"L(?P<layer>\d{1,5})[.\s]?KV?(?P<kv_head>\d{0,5})",
        r"L(?P<layer>\d{0,5})",
        r"L?(?P<layer>\d{1,5})\.(?P<head>\d{0,5})",
        r"a(?P<layer>\d{1,5})\.h?(?P<head>\d{0,5})",
        r"m(?P<layer>\d{1,5})\.n?(?P<neuron>\d{0,7})",
    )
)


def components_like(typed: str, sizes: Sizes, *, limit: int) -> list[Component]:
    """The components of a model that these words name or begin to name, the one that they name first."""
    found: dict[Component, None] = {}
    for component in _candidates(typed.strip(), sizes):
        if component.exists_in(sizes):
            found[component] = None
        if len(found) == limit:
            break
    return list(found)


def _candidates(typed: str, sizes: Sizes) -> Iterator[Component]:
    with contextlib.suppress(SchemaError):
        yield Component.parse(typed)
    match = next(filter(None, (beginning.fullmatch(typed) for beginning in _BEGINNINGS)), None)
    if match is None:
        return
    digits = match.groupdict()
    layer = digits.pop("layer")
    for part, begun in digits.items():
        count = {"head": sizes.n_heads, "neuron": sizes.d_mlp, "kv_head": sizes.n_kv_heads}[part]
        yield from (Component(int(layer), **{part: number}) for number in _numbers(begun, count))
    if not digits:
        layers = [Component(number) for number in _numbers(layer, sizes.n_layers)]
        yield from layers
        if layer:
            yield from (Component(int(layer), head=head) for head in range(sizes.n_heads))


def _numbers(begun: str, count: int) -> Iterator[int]:
    """The numbers below `count` whose digits begin so, shorter ones first."""
    if not begun:
        yield from range(count)
        return
    first, width = int(begun), 1
    if str(first) != begun:  # 07 is how nobody writes 7
        return
    while first < count:
        yield from range(first, min(first + width, count))
        if first == 0:
            return
        first, width = first * 10, width * 10
