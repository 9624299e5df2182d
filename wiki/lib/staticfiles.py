"""Static files under names that change with their content, ES module imports included."""

from __future__ import annotations

import functools

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ManifestStorage(CompressedManifestStaticFilesStorage):
    support_js_module_import_aggregation = True

    def __init__(self) -> None:
        super().__init__()
        # a page asks for about fifteen, whose names stay while the process lives
        self.url = functools.cache(super().url)
