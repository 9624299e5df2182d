"""A cache of files that all processes of one machine share, cheap to write to when it has many entries."""

from __future__ import annotations

import random

from django.core.cache.backends.filebased import FileBasedCache

# Django's lists the folder at every write to see whether it is full: 30 ms at 5,000 entries.
WRITES_BETWEEN_LISTINGS = 100


class FileCache(FileBasedCache):
    """Django's, which makes room at one write in a hundred, so it may hold a little more than MAX_ENTRIES."""

    def _cull(self) -> None:
        if random.randrange(WRITES_BETWEEN_LISTINGS) == 0:  # noqa: S311 (nothing secret)
            super()._cull()  # type: ignore[misc]  # of Django's own class, not in its stubs
