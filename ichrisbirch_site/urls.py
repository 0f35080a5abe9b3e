"""Addresses of the site."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from ichrisbirch_site import celery  # noqa: F401 - so that what is asked for here is queued where the workers look

urlpatterns = [
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}backups/favicon.svg")),  # the admin's pages name none
    path("admin/backups/", include("backups.api.urls")),  # it leaves to the panel and the admin what is theirs
    path("admin/backups/", include("backups.admin.urls")),
    path("admin/", admin.site.urls),
    path("", include("backups.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

handler400 = "backups.api.outside.unreadable"
handler500 = "backups.api.outside.failed"
