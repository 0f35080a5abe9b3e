"""The change list of backups: Django's own, with what the panel's template shows of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib.admin.templatetags.admin_list import date_hierarchy, result_headers
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR
from django.core.paginator import Paginator
from django.db.models import Count, F, Sum
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from backups.admin import figures
from backups.admin.history_filters import STORED, TYPES
from backups.admin.read_only import ReadOnlyList
from backups.models import BackupHistory, BackupType, Status
from backups.prune.deleting import NOT_PRUNED

if TYPE_CHECKING:
    Pages = Paginator[BackupHistory]
else:
    Pages = Paginator

# Nulls stand at the end of either direction: what is not known is neither the largest nor the smallest.
_MAY_BE_UNKNOWN = frozenset(("size_bytes", "database_size_bytes", "duration_seconds", "verified_at"))


class Totals(Pages):
    """Pages whose one count tells as well how many of the backups are stored, and their bytes."""

    @cached_property
    def totals(self) -> dict[str, int]:
        """every, stored, bytes: one query."""
        rows: Any = self.object_list
        found: dict[str, int | None] = rows.aggregate(
            every=Count("pk"), stored=Count("pk", filter=STORED), bytes=Sum("size_bytes", filter=STORED)
        )
        return {name: value or 0 for name, value in found.items()}

    @cached_property
    def count(self) -> int:
        """How many there are."""
        return self.totals["every"]


@dataclass(frozen=True, kw_only=True)
class Header:
    """A column's head: the link that sorts by it; `order` is ascending, descending, or "" where it is not sorted by."""

    address: str
    order: str


@dataclass(frozen=True, kw_only=True)
class BackupLine:
    """One backup, in the words of its row. `under` is in grey below its name: its filename, or why it failed."""

    row: BackupHistory
    under: str
    stored: str
    whole: str
    took: str
    by: str
    kind: "str | Promise"
    kept: str
    why: str

    @property
    def is_there(self) -> bool:
        """Whether some store has it, as far as it is known."""
        return self.row.status == Status.SUCCEEDED and self.row.deleted_at is None and self.row.missing_at is None


class HistoryList(ReadOnlyList):
    """What is on the page, and how to get from it to the others."""

    def __init__(self, request: HttpRequest, *given: Any, **named: Any) -> None:
        super().__init__(request, *given, **named)
        self.bulk = frozenset(self.model_admin.get_actions(request))

    def get_ordering(self, request: HttpRequest, queryset: Any) -> list[Any]:
        """As asked for."""
        return [_unknown_last(one) for one in super().get_ordering(request, queryset)]

    @cached_property
    def headers(self) -> dict[str, Header]:
        """By the names of `list_display`."""
        found = zip(self.list_display, result_headers(self), strict=True)
        return {str(name): _header(head) for name, head in found if head.get("sortable")}

    @cached_property
    def is_by_age(self) -> bool:
        """Whether the newest come first, as they do when nobody has sorted."""
        return self.headers["age"].order == "descending" and not any(
            head.order for name, head in self.headers.items() if name != "age"
        )

    @cached_property
    def is_narrowed(self) -> bool:
        """Whether less is shown than there is."""
        return bool(set(self.params) - {ORDER_VAR, PAGE_VAR})

    @cached_property
    def facets(self) -> list[dict[str, Any]]:
        """Of each filter its title, what is chosen ("" for nothing), and its choices: display, query_string, selected."""
        return [_facet(str(spec.title), list(spec.choices(self))) for spec in self.filter_specs]

    @cached_property
    def kept_parameters(self) -> list[tuple[str, str]]:
        """What a search must send along, so that it searches in what is shown."""
        return [(name, value) for name, values in self.filter_params.items() if name != "q" for value in values]

    @cached_property
    def dates(self) -> dict[str, Any] | None:
        """Years, then months, then days, the newest first: `back`, `now`, `choices`."""
        found = date_hierarchy(self)
        if not found or not found.get("choices"):
            return None
        choices = list(found["choices"])[::-1]
        return {"back": found.get("back"), "now": self._date_shown(), "choices": choices}

    @cached_property
    def lines(self) -> list[BackupLine]:
        """The backups of this page."""
        return [_line(row) for row in self.result_list]

    @cached_property
    def first(self) -> int:
        """The place of the first on this page, from 1; 0 where there is none."""
        return (self.page_num - 1) * self.list_per_page + 1 if self.result_count else 0

    @cached_property
    def last(self) -> int:
        """The place of the last on this page."""
        return min(self.first + self.list_per_page - 1, self.result_count) if self.result_count else 0

    @cached_property
    def before(self) -> str:
        """The address of the page before; "" for none."""
        return self.get_query_string({PAGE_VAR: self.page_num - 1}) if self.page_num > 1 else ""

    @cached_property
    def after(self) -> str:
        """The address of the page after; "" for none."""
        return self.get_query_string({PAGE_VAR: self.page_num + 1}) if self.page_num < self.paginator.num_pages else ""

    def _date_shown(self) -> str:
        year, month, day = (str(self.params.get(f"created_at__{part}", "")) for part in ("year", "month", "day"))
        try:
            shown = date(int(year), int(month or 1), int(day or 1))
        except ValueError:
            return ""
        return "" if day else formats.date_format(shown, "F") if month else year


def _unknown_last(order: Any) -> Any:
    """The same order, with what is not known at the end."""
    if not isinstance(order, str):
        return order
    name = order.removeprefix("-")
    if name not in _MAY_BE_UNKNOWN and not name.startswith("triggered_by"):
        return order
    return F(name).desc(nulls_last=True) if order.startswith("-") else F(name).asc(nulls_last=True)


def _header(head: dict[str, Any]) -> Header:
    order = ("ascending" if head["ascending"] else "descending") if head["sorted"] else ""
    return Header(address=head["url_primary"], order=order)


def _facet(title: str, choices: list[Any]) -> dict[str, Any]:
    """The first choice is all: not a narrowing."""
    chosen = next((choice["display"] for choice in choices[1:] if choice["selected"]), "")
    return {"title": title, "chosen": chosen, "any": choices[0], "choices": choices[1:]}


def _line(row: BackupHistory) -> BackupLine:
    stored, whole = _sizes(row)
    kept, why = _kept(row)
    failed = row.error_message.split("\n")[0] if row.status in (Status.FAILED, Status.CANCELLED) else ""
    return BackupLine(
        row=row,
        under=failed or row.filename,
        stored=stored,
        whole=whole,
        took=_took(row),
        by=_by(row),
        kind=TYPES.get(row.backup_type, row.backup_type),
        kept=kept,
        why=why,
    )


def _sizes(row: BackupHistory) -> tuple[str, str]:
    """What is stored, over the database that it is of; of one that runs, what is stored up to now, and how much that is."""
    if row.status != Status.RUNNING:
        return figures.size(row.size_bytes), figures.size(row.database_size_bytes) if row.database_size_bytes else ""
    told = row.progress if isinstance(row.progress, dict) else {}
    done, total = told.get("done_bytes"), told.get("total_bytes")
    if not done or not total:
        return figures.size(told.get("stored_bytes")), ""
    share = formats.number_format(min(100, 100 * done // total))
    return figures.size(told.get("stored_bytes")), _("%(percent)s%% of %(size)s") % {
        "percent": share,
        "size": figures.size(total),
    }


def _took(row: BackupHistory) -> str:
    if row.duration_seconds is not None or row.status != Status.RUNNING or row.started_at is None:
        return figures.duration(row.duration_seconds)
    return _("%(duration)s so far") % {"duration": figures.duration((timezone.now() - row.started_at).total_seconds())}


def _by(row: BackupHistory) -> str:
    """The user who is known; the schedule. Of a command the history knows nobody."""
    if row.triggered_by is not None:
        return str(row.triggered_by.get_username())
    return pgettext("by whom", "schedule") if row.backup_type == BackupType.SCHEDULED else figures.UNKNOWN


def _kept(row: BackupHistory) -> tuple[str, str]:
    """Where it is, and what keeps it or has become of it."""
    if row.status != Status.SUCCEEDED:
        ended = row.status in (Status.FAILED, Status.CANCELLED)
        return figures.UNKNOWN, _("nothing stored") if ended else ""
    if row.deleted_at is not None:
        return _("deleted"), figures.clock(row.deleted_at)
    if row.missing_at is not None:
        return _("missing"), _("seen %(clock)s") % {"clock": figures.clock(row.missing_at)}
    where = ", ".join(_places(row)) or figures.UNKNOWN
    if row.pin_reason:
        return where, _("pinned: %(reason)s") % {"reason": row.pin_reason}
    return where, next(_noted(row), "")


def _places(row: BackupHistory) -> Iterator[str]:
    if row.s3_key:
        yield _("bucket")
    if row.local_path:
        yield _("local")


def _noted(row: BackupHistory) -> Iterator[str]:
    """Why a prune could not take it."""
    if row.error_message.startswith(NOT_PRUNED):
        yield row.error_message.split("\n")[0]
