"""What was recorded of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TRANSFORMER_LENS = Path(__file__).with_name("transformer_lens.json")


def recorded() -> list[dict[str, Any]]:
    """What `transformer_lens.py` found, a version each; nothing before it has run."""
    return list(json.loads(TRANSFORMER_LENS.read_text())) if TRANSFORMER_LENS.exists() else []
