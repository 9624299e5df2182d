"""What a head page shows, as its URL says it: every link on the page keeps what it does not change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from urllib.parse import urlencode

# In the order in which they stand in a URL; `q` and the key of a locked cell last, so that the links of tokens differ
# at their end alone.
NAMES = ("survey", "text", "view", "sink", "examples", "example", "q", "k")


@dataclasses.dataclass(frozen=True)
class State:
    """The parameters of a head page's URL that are set."""

    parts: Mapping[str, str]

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> State:
        return cls({name: parameters[name] for name in NAMES if parameters.get(name)})

    def having(self, **changes: str) -> State:
        """The same with other values; an empty one unsets."""
        parts = {**self.parts, **changes}
        return State({name: parts[name] for name in NAMES if parts.get(name)})

    def url(self, *, at: str) -> str:
        """The address of the part of the page called `at`, in this state."""
        return f"?{self.query}#{at}"

    @property
    def query(self) -> str:
        return urlencode(self.parts)
