"""Settings in, frozen objects out, read anew at each call: `ours` is Django's BACKUPS, `databases` DATABASES, `bucket`
STORAGES["backups"]; `reading` takes one value each.
"""

from backups.conf.bucket import store_options
from backups.conf.databases import server
from backups.conf.ours import Settings, current, signing_keys

__all__ = ["Settings", "current", "server", "signing_keys", "store_options"]
