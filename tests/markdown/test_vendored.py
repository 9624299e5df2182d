"""The committed KaTeX is whole, named by its version, and the one that the site's script loads."""

from __future__ import annotations

import re
from pathlib import Path

STATIC = Path(__file__).parents[2] / "static"


def test_the_script_loads_the_committed_katex_of_that_version() -> None:
    folder = STATIC / "vendor" / "katex"
    (script,) = folder.glob("*.js")
    assert sorted(file.name for file in folder.iterdir()) == ["LICENSE", script.name]
    assert "The MIT License" in (folder / "LICENSE").read_text()
    version = re.fullmatch(r"katex-(\d+\.\d+\.\d+)\.min\.js", script.name)
    assert version
    assert f'"{version[1]}"' in script.read_text()
    assert f'import("../vendor/katex/{script.name}")' in (STATIC / "js" / "math.js").read_text()


def test_formulas_are_bounded_and_trusted_with_nothing() -> None:
    options = (STATIC / "js" / "math.js").read_text()
    assert all(option in options for option in ("trust: false", "maxExpand: 200", "maxSize: 20"))
