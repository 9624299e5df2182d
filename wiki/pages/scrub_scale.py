"""Recovered shares on one scale: 0 % and 100 % are its end points, and it goes on as far as the shares do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH, HEIGHT, LABELS, MARGIN = 300, 20, 12, 16
# How far the scale goes on beyond its end points where no share does.
BEYOND = 0.1


def percent(share: float | None, *, decimals: int = 1) -> str:
    """`87.2 %`, `−3.0 %`, `104.1 %`."""
    return "–" if share is None else f"{100 * share:.{decimals}f} %".replace("-", "−")


def share_of(recovered: Mapping[str, Any]) -> str:
    """The share, or why there is none."""
    return percent(recovered["value"]) if recovered["value"] is not None else str(recovered["absent"])


def doubt_of(recovered: Mapping[str, Any]) -> str:
    """`± 1.2 (84.0 to 90.1)`: the standard error and the interval, each where there is one."""
    error, low, high = (recovered.get(name) for name in ("error", "low", "high"))
    found = [f"± {_bare(error)}"] if error is not None else []
    if low is not None and high is not None:
        found.append(f"({_bare(low)} to {_bare(high)})")
    return " ".join(found)


def _bare(share: float) -> str:
    return percent(share).removesuffix(" %")


@dataclasses.dataclass(frozen=True)
class Scale:
    """From where to where shares are drawn."""

    low: float
    high: float
    criterion: float | None = None

    @classmethod
    def of(cls, shares: Iterable[float | None], *, criterion: float | None = None) -> Scale:
        known = [share for share in shares if share is not None]
        low, high = min(0.0, *known, 0.0), max(1.0, *known, criterion or 0.0)
        return cls(low - BEYOND * (high - low), high + BEYOND * (high - low), criterion)

    def place(self, share: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (share - self.low) / (self.high - self.low), 2)

    def draw(self, recovered: Mapping[str, Any], *, published: float | None = None) -> SafeString:
        """A share and its interval, and what others published, as a small picture; its numbers stand beside it in
        words."""
        value = recovered.get("value")
        if value is None:
            return SafeString()
        marks = [("end", 0.0), ("end", 1.0)]
        if self.criterion is not None:
            marks.append(("criterion", self.criterion))
        if published is not None:
            marks.append(("published", published))
        track = format_html(
            '<line class="track" x1="{}" x2="{}" y1="{}" y2="{}"/>',
            self.place(0.0),
            self.place(1.0),
            HEIGHT / 2,
            HEIGHT / 2,
        )
        lines = format_html_join(
            "",
            '<line class="{}" x1="{}" x2="{}" y1="2" y2="{}"/>',
            ((kind, self.place(share), self.place(share), HEIGHT - 2) for kind, share in marks),
        )
        # that of the criterion is in the verdict; here it could lie on another
        labels = format_html_join(
            "",
            '<text x="{}" y="{}">{}</text>',
            ((self.place(share), HEIGHT + LABELS - 3, percent(share, decimals=0)) for share in (0.0, 1.0)),
        )
        low, high = recovered.get("low"), recovered.get("high")
        whisker = SafeString()
        if low is not None and high is not None:
            whisker = format_html(
                '<line class="interval" x1="{}" x2="{}" y1="{}" y2="{}"/>',
                self.place(low),
                self.place(high),
                HEIGHT / 2,
                HEIGHT / 2,
            )
        return format_html(
            '<svg class="scale" viewBox="0 0 {} {}" aria-hidden="true">{}{}{}{}'
            '<circle class="share" cx="{}" cy="{}" r="4"/></svg>',
            WIDTH,
            HEIGHT + LABELS,
            track,
            lines,
            labels,
            whisker,
            self.place(value),
            HEIGHT / 2,
        )
