"""The site's settings with the shop, and with an SQLite database where LITE names its file."""

import os

from ichrisbirch_site.settings import *  # noqa: F403
from ichrisbirch_site.settings import DATABASES, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.shop"]
if lite := os.environ.get("LITE"):
    DATABASES["lite"] = {"ENGINE": "django.db.backends.sqlite3", "NAME": lite}
