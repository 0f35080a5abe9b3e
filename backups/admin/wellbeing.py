"""Every check of health, each with its value, its threshold and what to do."""

from django.urls import path

from backups.admin.page import Page

urlpatterns = [
    path("health/", Page.as_page(), name="health"),
    path("checks/", Page.as_page(), name="checks"),
]
