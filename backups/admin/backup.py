"""One backup: what is proven of it, what is in it, what can be done with it."""

from django.urls import path

from backups.admin.page import Page

urlpatterns = [
    path("<uuid:id>/", Page.as_page(), name="backup"),
    path("<uuid:id>/live/", Page.as_page(), name="backup-live"),
    path("<uuid:id>/contents/", Page.as_page(), name="contents"),
    path("<uuid:id>/manifest/", Page.as_page(), name="manifest"),
    path("<uuid:id>/verify/", Page.as_page(), name="verify"),
    path("<uuid:id>/cancel/", Page.as_page(), name="cancel"),
    path("<uuid:id>/pin/", Page.as_page(), name="pin"),
    path("<uuid:id>/unpin/", Page.as_page(), name="unpin"),
    path("<uuid:id>/download/", Page.as_page(), name="download"),
]
