"""The site's settings with django-dbbackup beside our app: its binary connector, the same database, the same store."""

from ichrisbirch_site.settings import *  # noqa: F403
from ichrisbirch_site.settings import DATABASES, INSTALLED_APPS, STORAGES

INSTALLED_APPS = [*INSTALLED_APPS, "dbbackup"]
DATABASES = {"default": DATABASES["bench"]}
DBBACKUP_CONNECTORS = {"default": {"CONNECTOR": "dbbackup.db.postgresql.PgDumpBinaryConnector"}}
STORAGES = {
    **STORAGES,
    "dbbackup": {
        "BACKEND": STORAGES["backups"]["BACKEND"],
        "OPTIONS": {**STORAGES["backups"]["OPTIONS"], "location": "dbbackup/"},
    },
}
