"""What the panel answers before a page is asked: to a form whose token does not fit."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.csrf import csrf_failure

from backups.admin.page import common, ours


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW. To the panel's addresses its own page, with the way back to the form; elsewhere Django's. 403, both."""
    if not request.path.startswith(reverse("backups_panel:overview")):
        return csrf_failure(request, reason)
    back = ours(request, request.headers.get("Referer", "")) or request.path
    return render(request, "backups/forged.html", common(request, tab="", back=back), status=403)
