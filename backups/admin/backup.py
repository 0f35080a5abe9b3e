"""One backup: what is proven of it, what is in it, what can be done with it."""

from django.urls import path

from backups.admin.acting import Cancel, Download, Pin, Unpin, Verify
from backups.admin.page import Page

urlpatterns = [
    path("<uuid:id>/", Page.as_page(), name="backup"),
    path("<uuid:id>/live/", Page.as_page(), name="backup-live"),
    path("<uuid:id>/contents/", Page.as_page(), name="contents"),
    path("<uuid:id>/manifest/", Page.as_page(), name="manifest"),
    path("<uuid:id>/verify/", Verify.as_page(), name="verify"),
    path("<uuid:id>/cancel/", Cancel.as_page(), name="cancel"),
    path("<uuid:id>/pin/", Pin.as_page(), name="pin"),
    path("<uuid:id>/unpin/", Unpin.as_page(), name="unpin"),
    path("<uuid:id>/download/", Download.as_page(), name="download"),
]
