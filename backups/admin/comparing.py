"""Two backups compared."""

from django.urls import path

from backups.admin.page import Page

urlpatterns = [
    path("<uuid:id>/diff/<uuid:other>/", Page.as_page(), name="diff"),
]
