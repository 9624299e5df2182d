"""The Hugging Face hub: which commit a name and a revision are, and its files. Nothing of it is ever executed or
unpickled. The hub's address is HF_ENDPOINT, a token for closed models HF_TOKEN, as its own tools have it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import HfApi, hf_hub_download, metadata_load
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from . import ModelError

# A licence's name is a word or a few; a card can hold anything there.
LONGEST_LICENCE = 100


@dataclasses.dataclass(frozen=True)
class HubModel:
    """One commit of a model's repository on the hub."""

    name: str
    commit: str
    files: tuple[str, ...]
    licence: str

    def download(self, *files: str, to: Path) -> None:
        """Fetch these files of the commit into the folder `to`."""
        with _explained(self.name, revision=self.commit):
            for file in files:
                hf_hub_download(self.name, file, revision=self.commit, local_dir=to, endpoint=_endpoint())


def find(name: str, *, revision: str | None) -> HubModel:
    """The commit that `revision` (a commit, branch or tag; None: the main branch) is now."""
    with _explained(name, revision=revision):
        info = HfApi(endpoint=_endpoint()).model_info(name, revision=revision)
    if not info.sha:
        raise ModelError(f"Fetching {name}: expected the hub to name a commit, got none.")
    files = tuple(sibling.rfilename for sibling in info.siblings or ())
    card: Any = info.card_data
    return HubModel(name=name, commit=info.sha, files=files, licence=_licence(card.to_dict() if card else {}))


def licence_of_card(path: Path) -> str:
    """The licence that the head of a model card in a file states, or `unknown`."""
    try:
        return _licence((metadata_load(path) if path.is_file() else None) or {})
    except Exception:  # noqa: BLE001 (whatever a card looks like, the model can be added)
        return "unknown"


def _licence(card: dict[str, Any]) -> str:
    licence = card.get("license")
    if licence == "other":
        licence = card.get("license_name") or licence
    return licence if isinstance(licence, str) and len(licence) <= LONGEST_LICENCE else "unknown"


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


@contextlib.contextmanager
def _explained(name: str, *, revision: str | None) -> Iterator[None]:
    """Turn what the hub and the network answer into one sentence."""
    try:
        yield
    except GatedRepoError as error:
        raise ModelError(
            f"Fetching {name}: the hub gives it only to those who accepted its terms; accept them on its page there "
            "and set HF_TOKEN to a token of yours."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"Fetching {name}: expected a public model of the hub, got a name it does not know; "
            f"a folder of this machine is written ./{name}."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"Fetching {name}: expected a commit, branch or tag of it, got {revision}.") from error
    except HfHubHTTPError as error:
        raise ModelError(f"Fetching {name}: the hub answered {error.response.status_code}; try again later.") from error
    except (HFValidationError, ValueError) as error:
        raise ModelError(f"Fetching {name}: {error}") from error
    except (httpx2.HTTPError, ConnectionError, LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise ModelError(
            f"Fetching {name}: the hub at {_endpoint()} cannot be reached ({type(error).__name__}); "
            "fetching needs it, models that are in the store do not."
        ) from error
