"""A restore: its plan, the typed name, its steps, its report, and the way back."""

from django.urls import path

from backups.admin.page import Page

urlpatterns = [
    path("<uuid:id>/restore/", Page.as_page(), name="restore-backup"),
    path("restores/<uuid:id>/", Page.as_page(), name="restore"),
    path("restores/<uuid:id>/live/", Page.as_page(), name="restore-live"),
    path("restores/<uuid:id>/undo/", Page.as_page(), name="undo"),
]
