"""Settings of the site, from the environment alone; an unset secret or a misspelt value stops the start."""

from pathlib import Path
from urllib.parse import quote

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from analysis.schema import CODE_VERSION

env = environ.Env()


def _secret(name: str) -> str:
    value = env.str(name)
    if not value:
        raise ImproperlyConfigured(f"Reading {name}: expected a secret, got an empty text.")
    return str(value)


def _positive(name: str, default: int) -> int:
    text = env.str(name, default=str(default))
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise ImproperlyConfigured(f"Reading {name}: expected a whole number above 0, got “{text}”.")
    return int(text)


def _url(name: str, *, schemes: tuple[str, ...]) -> str:
    text = str(env.str(name, default=""))
    beginnings = tuple(f"{scheme}://" for scheme in schemes)
    if text and not text.startswith(beginnings):
        raise ImproperlyConfigured(f"Reading {name}: expected {' or '.join(beginnings)}…, got “{text}”.")
    return text


def _yes(name: str) -> bool:
    text = env.str(name, default="")
    if text not in ("", "no", "yes"):
        raise ImproperlyConfigured(f"Reading {name}: expected yes or no, got “{text}”.")
    return bool(text == "yes")


BASE_DIR = Path(__file__).resolve().parent.parent

# Where everything that is not code lives: database, models, surveys, the embedded broker's messages, static files.
DATA_DIR = Path(env.str("LOUPE_DATA", default=str(BASE_DIR / ".loupe"))).resolve()
SECRET_KEY = _secret("LOUPE_SECRET_KEY")
# Shared with measuring workers, who sign their calls with it.
WORKER_SECRET = _secret("LOUPE_WORKER_SECRET")
BROKER_URL = env.str("LOUPE_BROKER_URL", default=f"loupe-filesystem://{quote(str(DATA_DIR / 'broker'))}")
# Where artifacts are: in the data folder, or in an object store of which that folder is then the cache.
STORE_URL = _url("LOUPE_STORE", schemes=("s3",))
# A worker that has not renewed its job for so long is taken to be gone.
LEASE_SECONDS = _positive("LOUPE_LEASE_SECONDS", 30)

DEBUG = False
ALLOWED_HOSTS = env.list("LOUPE_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "wiki.accounts",
    "wiki.components",
    "wiki.experiments",
    "wiki.texts",
    "wiki.pages",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = LOGOUT_REDIRECT_URL = "home"
CSRF_FAILURE_VIEW = "wiki.pages.errors.refused_without_token"
ROOT_URLCONF = "wiki.urls"
WSGI_APPLICATION = "wiki.wsgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "loupe.sqlite3"}
DATABASES = {"default": env.db("LOUPE_DATABASE_URL") if env.str("LOUPE_DATABASE_URL", default="") else SQLITE}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Readers never wait for the writer, and a writer takes its lock at once instead of failing when it first writes.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }

# Opening SQLite anew for each request costs more than a kept page.
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# Shared by all processes of the site, on all its machines where it is Redis.
CACHE_URL = _url("LOUPE_CACHE_URL", schemes=("redis", "rediss"))
CACHES = {
    "default": {
        # what another version of the code cached may not fit this one's pages
        "KEY_PREFIX": f"loupe-{CODE_VERSION}",
        **(
            {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": CACHE_URL}
            if CACHE_URL
            else {
                "BACKEND": "wiki.lib.cache.FileCache",
                "LOCATION": DATA_DIR / "cache",
                "OPTIONS": {"MAX_ENTRIES": 20_000},  # Django's 300 would drop pages while they are read
            }
        ),
    }
}

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "wiki.lib.staticfiles.ManifestStorage"},
}

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True

# A proxy in front of the site speaks TLS; it must set X-Forwarded-Proto itself, whatever the browser sent.
# Workers call the site behind it, so plain HTTP is not redirected here.
HTTPS = _yes("LOUPE_HTTPS")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0

LANGUAGE_CODE = "en"
USE_I18N = False  # there are no translations, and looking for them costs every number on a page
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
