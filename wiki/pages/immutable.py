"""Answers at addresses with a hash: what lies there never changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from django.http import HttpResponse, JsonResponse

from analysis.schema import Component
from wiki.components.models import LanguageModel
from wiki.experiments.results import KeptTexts, StoreError, open_vocabulary

from .errors import NotFound

IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}


def immutable_bytes(read: Callable[[], np.ndarray]) -> HttpResponse:
    """The bytes of an array; 404 with a sentence where it cannot be read."""
    try:
        data = read().tobytes()
    except StoreError as error:
        raise NotFound(str(error)) from error
    headers = IMMUTABLE | {"Content-Length": str(len(data))}
    return HttpResponse(data, content_type="application/octet-stream", headers=headers)


def immutable_promoted(
    model: LanguageModel, result: KeptTexts, row: int, component: Component, *, missing: str
) -> JsonResponse:
    """The tokens that a head's output promotes at every query of a kept text, and by how much; 404 with the sentence
    `missing` where that was not computed."""
    try:
        found = result.promoted(row, component, slice(None))
        if found is None:
            raise NotFound(missing)
        tokens, logits = found
        texts = open_vocabulary(model).texts(tokens.ravel())
    except StoreError as error:
        raise NotFound(str(error)) from error
    n = tokens.shape[1]
    data = {
        "tokens": [texts[start : start + n] for start in range(0, len(texts), n)],
        "logits": [[round(logit, 4) for logit in row] for row in logits.astype(float).tolist()],
    }
    return JsonResponse(data, headers=IMMUTABLE, json_dumps_params={"ensure_ascii": False, "separators": (",", ":")})
