"""Django settings. With `ichrisbirch_site.embedded`, the only place that reads the environment.

What the environment does not say comes from the embedded services (PostgreSQL, an S3 server), which `manage.py` and `icb`
start. README.md lists every variable.
"""

import os
from pathlib import Path

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from backups import queues
from ichrisbirch_site import databases, embedded, mail, version
from ichrisbirch_site.environment import Environment, with_password, with_secrets_of_files

BASE_DIR = Path(__file__).resolve().parent.parent

ENVIRONMENT = os.environ.get("ENVIRONMENT", "development")
if ENVIRONMENT not in ("development", "testing", "production"):
    raise ImproperlyConfigured(f"ENVIRONMENT is {ENVIRONMENT!r}; it must be development, testing or production.")
IN_PRODUCTION = ENVIRONMENT == "production"

if IN_PRODUCTION and (missing := embedded.missing(os.environ)):
    raise ImproperlyConfigured(
        f"ENVIRONMENT=production never uses the embedded services, and the environment does not name "
        f"{' and '.join(sorted(missing))}. Set {embedded.variables_of(missing)}."
    )

# Only what the environment leaves unsaid is laid over it.
env = Environment()
env.ENVIRON = {**with_secrets_of_files(os.environ), **embedded.environment(os.environ)}

if not os.environ.get("AWS_S3_BACKUP_BUCKET"):
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_S3_ADDRESSING_STYLE", "AWS_S3_OBJECT_PARAMETERS"):
        if os.environ.get(name):  # backups would stay on this machine, and their maker would think them far away
            raise ImproperlyConfigured(f"{name} is set, but AWS_S3_BACKUP_BUCKET is not. Set both, or neither.")

DEBUG = env.bool("DEBUG", default=False)
if IN_PRODUCTION and DEBUG:
    raise ImproperlyConfigured("DEBUG is on with ENVIRONMENT=production. Unset DEBUG: its pages show settings and source.")

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. Set it to 50 or more random characters, and keep it secret.")

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if IN_PRODUCTION else ["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "backups",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_celery_beat",
    "django_htmx",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
]

KNOX_TOKEN_MODEL = "backups.Token"  # noqa: S105 - a model's name
MIGRATION_MODULES = {"knox": None}  # its own table of tokens is not used, so it is not made

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "ichrisbirch_site.static.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# Nothing inline and nothing from elsewhere. The admin, the panel and the API's page need no more; its icons are data: URLs.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    },
}

CSRF_FAILURE_VIEW = "backups.admin.outside.forged"
ROOT_URLCONF = "ichrisbirch_site.urls"
WSGI_APPLICATION = "ichrisbirch_site.wsgi.application"
ASGI_APPLICATION = "ichrisbirch_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = databases.from_environment(env)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = env.time_zone("TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = not (IN_PRODUCTION and STATIC_ROOT.is_dir())  # in the image they are collected

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
    # The options of django-storages' S3Storage; object_parameters reach every object that a backup writes.
    "backups": {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": env.str("AWS_S3_BACKUP_BUCKET", default=""),
            "endpoint_url": env.str("AWS_ENDPOINT_URL_S3", default="") or None,
            "region_name": env.str("AWS_REGION", default="us-east-1"),
            "access_key": env.str("AWS_ACCESS_KEY_ID", default="") or None,
            "secret_key": env.str("AWS_SECRET_ACCESS_KEY", default="") or None,
            "security_token": env.str("AWS_SESSION_TOKEN", default="") or None,
            "addressing_style": env.str("AWS_S3_ADDRESSING_STYLE", default="") or None,
            "object_parameters": env.json_object("AWS_S3_OBJECT_PARAMETERS", example='{"StorageClass": "STANDARD_IA"}'),
        },
    },
}

BACKUPS = {
    "ENVIRONMENT": ENVIRONMENT,
    "TIME_ZONE": env.time_zone("BACKUPS_TIME_ZONE", default=TIME_ZONE),
    # Signs manifests. Whoever has it can forge a backup; whoever loses it can no longer prove his own.
    "SIGNING_KEY": env.str("BACKUPS_SIGNING_KEY", default=""),
    "SIGNING_KEY_FALLBACKS": env.list("BACKUPS_SIGNING_KEY_FALLBACKS", default=[]),
    "LOCAL_FOLDER": BASE_DIR / (os.environ.get("BACKUPS_LOCAL_FOLDER") or embedded.folder(os.environ) / "backups"),
    "SCRATCH_FOLDER": env.str("BACKUPS_SCRATCH_FOLDER", default="") or None,
    "CLIENT_FOLDERS": [*env.list("BACKUPS_CLIENT_FOLDERS", default=[]), *embedded.client_folders()],
    "LOCK_TIMEOUT_SECONDS": env.at_least("BACKUPS_LOCK_TIMEOUT_SECONDS", 1, default=30),
    "APPLICATION_VERSION": env.str("APPLICATION_VERSION", default="") or version.commit(BASE_DIR),
    "STALL_TIMEOUT_SECONDS": env.at_least("BACKUPS_STALL_TIMEOUT_SECONDS", 1, default=600),
    "KEEP_REPLACED_DAYS": env.at_least("BACKUPS_KEEP_REPLACED_DAYS", 0, default=0) or None,
    "NEUTRALIZE_SQL": env.json_list("BACKUPS_NEUTRALIZE_SQL"),
    "RETENTION": env.json_object("BACKUPS_RETENTION", example='{"keep_last": 7, "daily": 14, "weekly": 8, "monthly": 12}'),
    "VERIFY_DATABASE": env.str("BACKUPS_VERIFY_DATABASE", default="default"),
    "VERIFY_ASSERTIONS": env.json_objects("BACKUPS_VERIFY_ASSERTIONS"),
    "FINGERPRINT": env.bool("BACKUPS_FINGERPRINT", default=False),
    "SHRINK_WARNING_PERCENT": env.at_least("BACKUPS_SHRINK_WARNING_PERCENT", 1, default=20),
    "GUARD_MIGRATIONS": env.one_of("BACKUPS_GUARD_MIGRATIONS", ("off", "destructive", "always"), default="destructive"),
    # The embedded S3 server keeps no versions, and is on this very machine: a bucket of one's own is asked for them.
    "HEALTH": ({} if os.environ.get("AWS_S3_BACKUP_BUCKET") else {"versioning": False})
    | env.json_object("BACKUPS_HEALTH", example='{"backup_age_hours": 26}'),
    "METRICS_TOKEN": env.str("BACKUPS_METRICS_TOKEN", default=""),
    "ALERT_URLS": env.urls("BACKUPS_ALERT_URLS"),
    "ALERT_EMAILS": env.list("BACKUPS_ALERT_EMAILS", default=[]),
    "PING_URL": env.str("BACKUPS_PING_URL", default=""),
    "RESTORE_TARGETS": env.list("BACKUPS_RESTORE_TARGETS", default=[]),
    "MAX_RUNNING": env.at_least("BACKUPS_MAX_RUNNING", 1, default=2),
    "BEHIND_PROXY": env.bool("BEHIND_PROXY", default=False),
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "backups.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],  # of a view that says nothing else
    "DEFAULT_THROTTLE_RATES": {
        "backups_create": f"{env.at_least('BACKUPS_CREATE_PER_MINUTE', 1, default=10)}/min",
        "backups_read": f"{env.at_least('BACKUPS_READ_PER_MINUTE', 1, default=600)}/min",
    },
}

SPECTACULAR_SETTINGS = {"ENABLE_DJANGO_DEPLOY_CHECK": False}  # `icb check` has a step of its own for the API's description

globals().update(mail.from_environment(env))  # EMAIL_HOST and what belongs to it

CELERY_BROKER_URL = with_password(env.str("REDIS_URL", default=""), env.str("REDIS_PASSWORD", default=""))
CELERY_BROKER_URL = CELERY_BROKER_URL or "filesystem://localhost"
# What Redis gives to another worker after so many seconds, because the first did not say that it is done. A backup whose message
# comes twice is still made once; but whoever waits for a task should not see it begin again.
CELERY_BROKER_TRANSPORT_OPTIONS = (
    embedded.broker_options(os.environ)
    if CELERY_BROKER_URL == "filesystem://localhost"
    else {"visibility_timeout": env.at_least("REDIS_VISIBILITY_TIMEOUT_SECONDS", 60, default=86_400)}
)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True  # the rows of the history tell
CELERY_RESULT_EXPIRES = None  # there are none, so nobody need clean them up each night
CELERY_TASK_ROUTES = queues.ROUTES
CELERY_TASK_DEFAULT_QUEUE = queues.UPKEEP
CELERY_WORKER_PREFETCH_MULTIPLIER = 1  # no backup waits in the hands of a worker that makes another
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False  # a dump does not need the broker
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "ichrisbirch_site.scheduler:FollowableScheduler"

if IN_PRODUCTION:
    SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=True)
    SECURE_REDIRECT_EXEMPT = ["^health/$"]  # a load balancer asks the process itself, by http; it learns nothing but that
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
    SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=31_536_000)
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_LEVEL = env.one_of("LOG_LEVEL", LOG_LEVELS, default="WARNING")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "filters": {"without_chatter": {"()": "ichrisbirch_site.chatter.WithoutChatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    # The first ones' debugging output has session tokens and signed requests in it; the others have two lines for each task, of
    # which there is one each half minute.
    "loggers": {name: {"level": "INFO"} for name in ("botocore", "boto3", "urllib3", "s3transfer")}
    | {name: {"level": LOG_LEVEL} for name in ("celery.worker.strategy", "celery.app.trace")}
    | {"celery.beat": {"filters": ["without_chatter"] if LOG_LEVEL not in ("DEBUG", "INFO") else []}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
}
