"""Environment variables in, Django's settings of mail out."""

import warnings
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from ichrisbirch_site.environment import Environment

TIMEOUT_SECONDS = 10  # Django's default is for ever


def from_environment(env: Environment) -> dict[str, Any]:
    """EMAIL_URL, or EMAIL_HOST and its neighbours. Without either there is no host, and nothing is sent.

    Raises ImproperlyConfigured for a URL that can't be read.
    """
    made = _of_url(env) if env.ENVIRON.get("EMAIL_URL") else _of_parts(env)
    sender = env.str("DEFAULT_FROM_EMAIL", default="")
    return {
        **made,
        "EMAIL_TIMEOUT": TIMEOUT_SECONDS,
        **({"DEFAULT_FROM_EMAIL": sender, "SERVER_EMAIL": sender} if sender else {}),
    }


def _of_url(env: Environment) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed: dict[str, Any] = env.email_url("EMAIL_URL")
    except (ValueError, KeyError, environ.ImproperlyConfigured) as error:
        raise ImproperlyConfigured(
            "EMAIL_URL can't be read. It is smtp+tls://user:password@host:587, or smtp+ssl://…:465; characters of the password"
            " like / # @ : must be encoded (%2F %23 %40 %3A)."
        ) from error
    usual = 465 if parsed.get("EMAIL_USE_SSL") else 587 if parsed.get("EMAIL_USE_TLS") else 25
    given = {name: value for name, value in parsed.items() if name.startswith("EMAIL_") and value is not None}
    return {"EMAIL_HOST": "", "EMAIL_PORT": usual, **given}


def _of_parts(env: Environment) -> dict[str, Any]:
    return {
        "EMAIL_HOST": env.str("EMAIL_HOST", default=""),
        "EMAIL_PORT": env.int("EMAIL_PORT", default=25),
        "EMAIL_HOST_USER": env.str("EMAIL_HOST_USER", default=""),
        "EMAIL_HOST_PASSWORD": env.str("EMAIL_HOST_PASSWORD", default=""),
        "EMAIL_USE_TLS": env.bool("EMAIL_USE_TLS", default=False),
        "EMAIL_USE_SSL": env.bool("EMAIL_USE_SSL", default=False),
    }
