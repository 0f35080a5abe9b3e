"""A new backup: what it is for, where it goes, under which key; then it is queued."""

from django.urls import path

from backups.admin.page import Page

urlpatterns = [
    path("new/", Page.as_page(), name="new"),
]
