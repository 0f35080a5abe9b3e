"""Addresses of the panel's pages, for the site to include where the API's are: admin/backups/

Of an address that both have, `api/negotiation.py` tells who is meant.
"""

from django.urls import path

from backups.admin.overview import Overview

app_name = "backups_panel"

urlpatterns = [
    path("", Overview.as_page(), name="overview"),
]
