"""The card of an organism: what it was trained on, how its loss fell, and what it can do, as the training saw it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .training import Recipe, Trained

# Steps of which a point of the loss curve is the mean.
CURVE = 50
WIDTH, HEIGHT = 600, 160  # of the drawn curve


def card_of(recipe: Recipe, trained: Trained, about: Mapping[str, str]) -> dict[str, Any]:
    """The card as data. `about`: title, data and licence."""
    losses = trained.losses
    points = [losses[start : start + CURVE] for start in range(0, len(losses), CURVE)]
    return {
        "slug": recipe.slug,
        **about,
        "recipe": recipe.described(),
        "loss_curve": {
            "steps_a_point": CURVE,
            "loss": [round(sum(point) / len(point), 5) for point in points],
        },
        "abilities_while_training": trained.abilities,
        "abilities": recipe.examine(trained.model),
    }


def as_json(data: Mapping[str, Any]) -> str:
    """As files have it: one text for the same data."""
    return json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def as_markdown(card: Mapping[str, Any]) -> str:
    """The same for readers; the drawn curve is `loss.svg` beside it."""
    while_training = card["abilities_while_training"]
    every = max(1, len(while_training) // 12)
    some = [*while_training[every - 1 :: every]]
    if some[-1] != while_training[-1]:
        some.append(while_training[-1])
    recipe = [f"{key.replace('_', ' ')} {value}" for key, value in card["recipe"].items()]
    names = [name for name in while_training[0] if name != "step"]
    return "\n".join(
        [
            f"# {card['slug']}: {card['title']}",
            "",
            f"Trained by `python -m analysis train {card['slug']}`, which wrote this card. Licence: {card['licence']}.",
            "",
            f"**Data.** {card['data']}.",
            "",
            f"**Recipe.** {', '.join(recipe)}.",
            "",
            "**Abilities** on held-out data, at the end:",
            "",
            *_table(["ability", "figure"], [[name, f"{figure:.4f}"] for name, figure in card["abilities"].items()]),
            "",
            "**While training**, on fewer held-out rows:",
            "",
            *_table(["step", *names], [[str(row["step"]), *(f"{row[name]:.4g}" for name in names)] for row in some]),
            "",
            f"**Loss** of training rows, each point the mean of {card['loss_curve']['steps_a_point']} steps, the scale "
            "logarithmic:",
            "",
            "![Loss curve](loss.svg)",
            "",
        ]
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def as_svg(card: Mapping[str, Any]) -> str:
    """The loss curve: powers of ten are lines across."""
    logs = [math.log10(loss) for loss in card["loss_curve"]["loss"]]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    high = max(high, low + 1)

    def y(log: float) -> float:
        return round(HEIGHT * (high - log) / (high - low), 1)

    points = " ".join(f"{WIDTH * i / max(1, len(logs) - 1):.1f},{y(log)}" for i, log in enumerate(logs))
    across = "".join(
        f'<path d="M0 {y(float(power))}H{WIDTH}" stroke="#ccc"/>'
        f'<text x="2" y="{y(float(power)) - 3}" font-size="11">{10.0**power:g}</text>'
        for power in range(low, high + 1)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-5 -15 {WIDTH + 10} {HEIGHT + 25}">{across}'
        f'<polyline points="{points}" fill="none" stroke="#06c"/></svg>\n'
    )
