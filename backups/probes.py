"""What machines look at: /health/ for load balancers and people on duty, /metrics for Prometheus."""

import hmac
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import Error as DatabaseError
from django.db import connections, router
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

from backups import conf, metrics, stores
from backups.exceptions import BackupsError
from backups.health import full_report
from backups.models import BackupHistory

PERMISSION = "backups.view_backuphistory"


@never_cache
@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """For everyone: is this process alive? That is: it answers, and the database of the history answers it. 200 and
    {"status": "ok"}, else 503 and {"status": "failing"}.

    That a backup is late or the bucket is away is no reason to take a web process from its load balancer, or to start it anew:
    that is in the report, which staff with the permission to view backups get instead, with 200 whatever it says.
    """
    if not _has_database():
        return JsonResponse({"status": "failing"}, status=503)
    if not _may_view(request):
        return JsonResponse({"status": "ok"})
    try:
        return JsonResponse({"status": "ok", **full_report.get()})
    except BackupsError as error:
        return JsonResponse({"status": "ok", "is_ok": False, "answer": str(error.scrub(stores.secrets())), "checks": []})


@never_cache
@require_safe
def scrape(request: HttpRequest) -> HttpResponse:
    """Metrics, for whoever brings the token of the settings, and for staff who may view backups.

    401 where a token would do and is not right, 403 for staff without the permission, 404 for others where there is no token.
    503 where the history can't be read.
    """
    token = conf.current().metrics_token
    if not _brings(request, token):
        if not _has_database():
            return HttpResponse("The history can't be read.\n", status=503, content_type="text/plain")
        if not _may_view(request):
            return _refused(request, has_token=bool(token))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    try:
        return HttpResponse(encode(metrics.registry()), content_type=content_type)
    except DatabaseError:
        return HttpResponse("The history can't be read.\n", status=503, content_type="text/plain")


def _brings(request: HttpRequest, token: str) -> bool:
    """Whether the request has the bearer token. How long that takes does not tell how much of it is right."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return bool(token) and scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


def _refused(request: HttpRequest, *, has_token: bool) -> HttpResponse:
    if _user(request).is_staff:
        return HttpResponse("You may not view backups.\n", status=403, content_type="text/plain")
    if not has_token:
        return HttpResponseNotFound("Not found.\n", content_type="text/plain")
    headers = {"WWW-Authenticate": 'Bearer realm="metrics"'}
    return HttpResponse("A bearer token is needed.\n", status=401, headers=headers, content_type="text/plain")


def _may_view(request: HttpRequest) -> bool:
    user = _user(request)
    return bool(user.is_active and user.is_staff and user.has_perm(PERMISSION))


def _user(request: HttpRequest) -> Any:
    """Whoever is signed in, where the site has sessions at all."""
    return getattr(request, "user", None) or AnonymousUser()


def _has_database() -> bool:
    connection = connections[router.db_for_read(BackupHistory)]
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        connection.close()  # the next request makes a new one
        return False
    return True
