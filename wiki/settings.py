"""Settings of the site, from the environment alone; an unset secret or a misspelt value stops the start."""

from pathlib import Path
from urllib.parse import quote, urlsplit

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


def _one_of(name: str, *choices: str) -> str:
    """The first of them where it is not set."""
    text = str(env.str(name, default="")) or choices[0]
    if text not in choices:
        raise ImproperlyConfigured(f"Reading {name}: expected {' or '.join(choices)}, got “{text}”.")
    return text


def _yes(name: str, *, unset: str = "no") -> bool:
    text = env.str(name, default="") or unset
    if text not in ("no", "yes", "0", "1"):
        raise ImproperlyConfigured(f"Reading {name}: expected yes or no, got “{text}”.")
    return text in ("yes", "1")


def _all_or_none(*names: str) -> list[str]:
    """What these are set to; empty texts where none is."""
    texts = [str(env.str(name, default="")) for name in names]
    if any(texts) and not all(texts):
        unset = " and ".join(name for name, text in zip(names, texts, strict=True) if not text)
        raise ImproperlyConfigured(f"Reading {', '.join(names)}: expected all of them or none, got no {unset}.")
    return texts


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
    "django.contrib.messages",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "wiki.accounts",  # before allauth, whose templates it replaces
    "wiki.components",
    "wiki.experiments",
    "wiki.texts",
    "wiki.pages",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
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
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "wiki.accounts.middleware.DemoStaysAtHome",
    "wiki.accounts.middleware.NamesStayPrivate",
    "wiki.accounts.middleware.ReadingNeedsAnAccount",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

LOGIN_URL = "account_login"
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
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
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

# Who may make an account: whom a moderator invited, or everybody.
SIGN_UP = _one_of("LOUPE_SIGN_UP", "invitation", "open")
# Whether pages are shown to who is not signed in.
ANONYMOUS_READING = _yes("LOUPE_ANONYMOUS_READING", unset="yes")
# Accounts whose passwords are printed at the start: never where anybody else can reach the site.
DEMO = _yes("LOUPE_DEMO")
LOOPBACK_HOSTS = {"localhost", "127.0.0.1", "[::1]"}
if DEMO and (HTTPS or not LOOPBACK_HOSTS.issuperset(ALLOWED_HOSTS)):
    raise ImproperlyConfigured(
        "Reading LOUPE_DEMO: expected a site on loopback alone, "
        f"got LOUPE_HOSTS={','.join(ALLOWED_HOSTS)} and LOUPE_HTTPS={'yes' if HTTPS else 'no'}."
    )

# E-mail: by a server, or written to files, which whoever runs the site reads.
EMAIL_URL = _url("LOUPE_EMAIL_URL", schemes=("smtp", "smtp+tls", "smtp+ssl"))
EMAIL_FROM = _all_or_none("LOUPE_EMAIL_URL", "LOUPE_EMAIL_FROM")[1]
DEFAULT_FROM_EMAIL = SERVER_EMAIL = EMAIL_FROM or "Loupe <loupe@localhost>"
EMAIL_TIMEOUT = 10
if EMAIL_URL:
    vars().update(environ.Env.email_url_config(EMAIL_URL))
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = DATA_DIR / "mail"

AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "wiki.accounts.adapter.AccountAdapter"
ACCOUNT_FORMS = {"signup": "wiki.accounts.forms.SignUpForm"}
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_USERNAME_VALIDATORS = "wiki.accounts.forms.username_validators"
ACCOUNT_USERNAME_MIN_LENGTH = 2
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Loupe] "
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = True
# The last address that the proxy wrote into X-Forwarded-For is whom rate limits are for.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if HTTPS else 0
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "Loupe"
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS  # browsers allow it on localhost alone

# Signing in by way of others: each is off where it is not set.
GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET = _all_or_none("LOUPE_GITHUB_CLIENT_ID", "LOUPE_GITHUB_CLIENT_SECRET")
OIDC_URL, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET = _all_or_none(
    "LOUPE_OIDC_URL", "LOUPE_OIDC_CLIENT_ID", "LOUPE_OIDC_CLIENT_SECRET"
)
_url("LOUPE_OIDC_URL", schemes=("https",))
SOCIALACCOUNT_FORMS = {"signup": "wiki.accounts.forms.SocialSignUpForm"}
SOCIALACCOUNT_AUTO_SIGNUP = False  # people choose their name here themselves
SOCIALACCOUNT_PROVIDERS = {}
if GITHUB_CLIENT_ID:
    INSTALLED_APPS.append("allauth.socialaccount.providers.github")
    SOCIALACCOUNT_PROVIDERS["github"] = {
        "APPS": [{"client_id": GITHUB_CLIENT_ID, "secret": GITHUB_CLIENT_SECRET}],
        "SCOPE": ["user:email"],
    }
    # the form that leaves for it ends there, and Chromium holds that against form-action
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"].append("https://github.com")
if OIDC_URL:
    INSTALLED_APPS.append("allauth.socialaccount.providers.openid_connect")
    OIDC_APP = {
        "provider_id": "oidc",
        "name": urlsplit(OIDC_URL).hostname,
        "client_id": OIDC_CLIENT_ID,
        "secret": OIDC_CLIENT_SECRET,
        "settings": {"server_url": OIDC_URL, "oauth_pkce_enabled": True},
    }
    SOCIALACCOUNT_PROVIDERS["openid_connect"] = {"APPS": [OIDC_APP]}
    CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"].append(f"https://{urlsplit(OIDC_URL).netloc}")

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
