"""The site's settings for tests: the real ones, over a throw-away data folder."""

import os
import tempfile

# Never the data folder of who runs the tests; removed when they end.
_folder = tempfile.TemporaryDirectory(prefix="loupe-tests-", ignore_cleanup_errors=True)
os.environ["LOUPE_DATA"] = _folder.name
os.environ["LOUPE_SECRET_KEY"] = "tests-only"
os.environ["LOUPE_WORKER_SECRET"] = "tests-only-worker"

# Two processes run the tests: torch has a core in each.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

from wiki.settings import *  # noqa: E402, F403 (the environment above has to be there first)
from wiki.settings import DATA_DIR, DATABASES, STATIC_ROOT, STORAGES  # noqa: E402

# A file, not memory: live servers and worker calls read it from other threads, as they do outside tests.
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / "tests.sqlite3"}

# Tests serve static files from the source folder under their plain names; `make run` collects and hashes them.
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
