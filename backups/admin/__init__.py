"""The panel: pages inside Django's admin, for whoever is responsible for the backups.

`page` is what each has in common, `overview` the first, `urls` tells the others. Importing this registers what Django's admin
lists.
"""

from backups.admin import audit_log as audit_log
from backups.admin import history as history
from backups.admin import periodic as periodic
from backups.admin import restores as restores
