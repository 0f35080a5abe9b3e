"""Addresses of the API, for the site to include in front of the admin's, where the app's pages are: admin/backups/"""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from backups.api.backups import Backups
from backups.api.missing import Missing
from backups.api.negotiation import negotiated, page_of, show
from backups.api.restores import Restores

app_name = "backups_api"


@csrf_exempt
def _rest(request: HttpRequest, **_rest: str) -> HttpResponseBase:
    """What is none of the API's is the admin's; what is nobody's is said in JSON to whoever does not prefer a page."""
    if (match := page_of(request)) is not None:
        return show(request, match)
    return negotiated(Missing.as_view())(request)


def _to(view: type[Any], page: str = "", **methods: str) -> Any:
    return negotiated(view.as_view(methods), page=page)


urlpatterns = [
    path("", _to(Backups, get="list", post="create"), name="backups"),
    path("<uuid:id>/", _to(Backups, "admin:backups_backuphistory_change", get="retrieve"), name="backup"),
    path("restores/", _to(Restores, get="list"), name="restores"),
    path("restores/<uuid:id>/", _to(Restores, "admin:backups_backuprestore_change", get="retrieve"), name="restore"),
    path("<path:rest>", _rest),
]
