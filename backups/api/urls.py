"""Addresses of the API, for the site to include in front of the admin's, where the app's pages are: admin/backups/"""

from typing import Any

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import path, re_path
from django.views.decorators.csrf import csrf_exempt

from backups.api.acting import Acting
from backups.api.backups import Backups
from backups.api.bucket import Bucket
from backups.api.describing import Docs, Schema
from backups.api.downloading import Downloading
from backups.api.negotiation import negotiated, page_of, prefers_html, show
from backups.api.outside import missing
from backups.api.restores import Restores
from backups.api.restoring import ActingOnRestores, Restoring
from backups.api.wellbeing import Wellbeing

app_name = "backups_api"


@csrf_exempt
def _rest(request: HttpRequest, **_rest: str) -> HttpResponseBase:
    """What is none of the API's is the admin's; what is nobody's is said in JSON to whoever does not prefer a page."""
    if (match := page_of(request)) is not None:
        return show(request, match)
    if prefers_html(request):
        raise Http404
    return missing(request)


def _to(view: type[Any], page: str = "", **methods: str) -> Any:
    return negotiated(view.as_view(methods), page=page)


urlpatterns = [
    path("", _to(Backups, get="list", post="create"), name="backups"),
    path("<uuid:id>/", _to(Backups, get="retrieve"), name="backup"),
    path("<uuid:id>/contents/", _to(Acting, get="contents"), name="contents"),
    path("<uuid:id>/diff/<uuid:other>/", _to(Acting, get="diff"), name="diff"),
    path("<uuid:id>/verify/", _to(Acting, post="verify"), name="verify"),
    path("<uuid:id>/cancel/", _to(Acting, post="cancel"), name="cancel"),
    path("<uuid:id>/pin/", _to(Acting, post="pin", delete="unpin"), name="pin"),
    path("<uuid:id>/download/", _to(Downloading, get="download"), name="download"),
    path("<uuid:id>/restore/", _to(Restoring, post="restore"), name="restore-backup"),
    path("storage/", _to(Bucket, get="list"), name="storage"),
    path("health/", _to(Wellbeing, get="retrieve"), name="health"),
    path("schema/", Schema.as_view(), name="schema"),
    path("docs/", admin.site.admin_view(Docs.as_view()), name="docs"),
    path("restores/", _to(Restores, get="list"), name="restores"),
    path("restores/<uuid:id>/", _to(Restores, "admin:backups_backuprestore_change", get="retrieve"), name="restore"),
    path("restores/<uuid:id>/cancel/", _to(ActingOnRestores, post="cancel"), name="cancel-restore"),
    path("restores/<uuid:id>/undo/", _to(ActingOnRestores, post="undo"), name="undo"),
    re_path(r"^(?P<rest>[\s\S]+)\Z", _rest),  # <path:rest> ends at a newline
]
