"""The bucket, as a file manager shows it."""

from django.urls import path

from backups.admin.page import Page

urlpatterns = [
    path("storage/", Page.as_page(), name="storage"),
    path("storage/delete/", Page.as_page(), name="storage-delete"),
    path("storage/download/", Page.as_page(), name="storage-download"),
]
