"""Addresses of the panel's pages, for the site to include where the API's are: admin/backups/

Of an address that both have, `api/negotiation.py` tells who is meant. Each page's module says where it is.
"""

from backups.admin import (
    acting,
    backup,
    comparing,
    contents,
    creating,
    deleting,
    overview,
    pinning,
    restored,
    restoring,
    scheduled,
    storage,
    taking,
    watching,
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
    *restored.urlpatterns,
    *backup.urlpatterns,
    *watching.urlpatterns,
    *contents.urlpatterns,
    *acting.urlpatterns,
    *pinning.urlpatterns,
    *comparing.urlpatterns,
    *taking.urlpatterns,
]
