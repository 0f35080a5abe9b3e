"""Backups that are let go of: what the policy would, and one by its typed name."""

from django.urls import path

from backups.admin.page import Page

urlpatterns = [
    path("prune/", Page.as_page(), name="prune"),
    path("<uuid:id>/delete/", Page.as_page(), name="delete"),
]
