"""A new backup: what it is for, where it goes, under which key; then it is queued."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.db import connections
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from backups import access, asking, conf, health
from backups.access import Action
from backups.admin.acting import address_of
from backups.admin.page import Page
from backups.exceptions import BackupsError, OfRunError, UsageError
from backups.heartbeats import BACKUPS
from backups.models import BackupHistory
from backups.sentences import translated
from backups.storage import keys
from backups.types import State

PATTERN = r"[A-Za-z0-9 _\-]*[A-Za-z0-9][A-Za-z0-9 _\-]*"  # what keys.slug takes, for browsers


class NewBackupForm(forms.Form):
    """The backup that is wanted. Only stores that are configured can be chosen."""

    description = forms.CharField(max_length=keys.MAX_DESCRIPTION, label=gettext_lazy("Description"))
    upload_to_s3 = forms.BooleanField(required=False, label=gettext_lazy("Upload it"))
    save_local = forms.BooleanField(required=False, label=gettext_lazy("Keep a local copy"))
    database = forms.ChoiceField(label=gettext_lazy("Database"))
    once = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        known = [(one.alias, one.label) for one in databases()]
        self.fields["database"].choices = known  # type: ignore[attr-defined]
        for name, is_configured in (("upload_to_s3", conf.store_options()), ("save_local", conf.current().local_folder)):
            self.fields[name].disabled = not is_configured
        says = self.fields["description"].widget.attrs
        says |= {"pattern": PATTERN, "autocomplete": "off", "autofocus": True, "aria-describedby": "rule key"}
        if self.errors.get("description"):
            says |= {"aria-invalid": "true", "aria-describedby": "description-error rule key"}

    def clean_description(self) -> str:
        """Raises ValidationError with the rule."""
        given = str(self.cleaned_data["description"])
        try:
            keys.slug(given)
        except UsageError as error:
            raise forms.ValidationError(f"{translated(error.message)} {translated(error.detail)}") from error
        return given

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError where it has nowhere to go."""
        given = super().clean() or self.cleaned_data
        if not given.get("upload_to_s3") and not given.get("save_local"):
            self.add_error("upload_to_s3", _("The backup has nowhere to go: choose one of the two, or both."))
        return given

    @property
    def key(self) -> str:
        """The key that it would have now; where the description is none, one that shows how keys are made."""
        prefix, now = keys.prefix(conf.current().environment), timezone.now()
        try:
            return prefix + keys.filename(at=now, description=str(self["description"].value() or ""))
        except UsageError:
            return f"{prefix}backup-{now:%Y-%m-%dT%H%M}-…{keys.DUMP_SUFFIX}"


class Create(Page):
    """The form, and its answer."""

    tab = "backups"
    needs = Action.RUN
    needs_to_post: ClassVar[Action | None] = Action.RUN

    def get(self, request: HttpRequest) -> HttpResponse:
        """The form, filled in with what the address says."""
        initial = {"upload_to_s3": conf.store_options() is not None, "once": get_random_string(20)}
        if "description" in request.GET:
            initial |= {name: name in request.GET for name in ("upload_to_s3", "save_local")}
        initial |= {name: request.GET[name] for name in ("description", "database") if name in request.GET}
        return self.show("backups/new.html", **_told(NewBackupForm(initial=initial)))

    def post(self, request: HttpRequest) -> HttpResponse:
        """Queues it, and leads to its page. The same form sent twice is one backup."""
        form = NewBackupForm(request.POST)
        if not form.is_valid():
            return self.show("backups/new.html", status=400, **_told(form))
        wanted = {name: form.cleaned_data[name] for name in ("description", "database", "upload_to_s3", "save_local")}
        digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
        once = form.cleaned_data["once"]
        key = access.actor_key(request, f"{once} {digest}" if once else "")
        try:
            row, is_new = asking.for_backup(**wanted, user=request.user, key=key, digest=digest)
        except BackupsError as error:
            other = error.id if isinstance(error, OfRunError) and error.which == "backup" else None
            return self.failed(error, template="backups/new.html", other=other, **_told(form))
        if is_new:
            self.note(object=row.filename, target=row.database, queued=True)
        return self.done(_("The backup is queued."), to=address_of(row))


@dataclass(frozen=True, kw_only=True)
class Database:
    """One that can be backed up, by its alias."""

    alias: str
    name: str

    @property
    def label(self) -> str:
        """Both names, where they are two."""
        return self.name if self.alias in ("default", self.name) else f"{self.alias}: {self.name}"


def databases() -> Iterator[Database]:
    """Those of the settings that are PostgreSQL, the site's own first."""
    for alias in sorted(connections, key=lambda alias: (alias != "default", alias)):
        try:
            yield Database(alias=alias, name=conf.server(alias).database)
        except BackupsError:
            continue


def _told(form: NewBackupForm) -> dict[str, Any]:
    settings, options, worker = conf.current(), conf.store_options(), health.worker_of(BACKUPS)
    names = [database.name for database in databases()]
    rows = BackupHistory.objects.succeeded().of_environment(settings.environment).filter(database__in=names)
    last = rows.order_by("database", "-created_at").distinct("database")
    return {
        "form": form,
        "rule": keys.DESCRIPTION_RULE,
        "prefix": keys.prefix(settings.environment),
        "now_ms": round(timezone.now().timestamp() * 1000),
        "bucket": options.bucket if options else "",
        "local_folder": settings.local_folder,
        "worker": worker if worker.state is not State.OK else None,
        "last": last.only("database", "created_at", "duration_seconds", "size_bytes", "database_size_bytes"),
    }


urlpatterns = [
    path("new/", Create.as_page(), name="new"),
]
