"""Addresses of the panel's pages, for the site to include where the API's are: admin/backups/

Of an address that both have, `api/negotiation.py` tells who is meant. Each page's module says where it is.
"""

from backups.admin import (
    backup,
    comparing,
    creating,
    deleting,
    overview,
    pinning,
    restoring,
    scheduled,
    storage,
    taking,
    wellbeing,
)

app_name = "backups_panel"

urlpatterns = [
    *overview.urlpatterns,
    *wellbeing.urlpatterns,
    *scheduled.urlpatterns,
    *creating.urlpatterns,
    *deleting.urlpatterns,
    *storage.urlpatterns,
    *restoring.urlpatterns,
    *backup.urlpatterns,
    *pinning.urlpatterns,
    *comparing.urlpatterns,
    *taking.urlpatterns,
]
