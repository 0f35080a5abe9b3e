"""Addresses of the app, for the site to include where it likes."""

from django.urls import path

from backups import probes

app_name = "backups"
urlpatterns = [
    path("health/", probes.health, name="health"),
    path("metrics", probes.scrape, name="metrics"),
]
