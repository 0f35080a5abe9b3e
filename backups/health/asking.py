"""Goes through all questions at once. None waits for another, none for ever, and none keeps the others from being asked."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from django.db import Error as DatabaseError
from django.db import connections
from django.utils import timezone

from backups import conf, history, stores
from backups.exceptions import BackupsError
from backups.health import of_backups, of_machine, of_schedule, of_server, of_store
from backups.health.sites import Site, sites
from backups.schedules import backup_schedules
from backups.sentences import joined
from backups.sentences import sentence as _
from backups.thresholds import Thresholds
from backups.types import Check, State

PATIENCE_SECONDS = 30.0
_URGENCY = (State.BAD, State.UNKNOWN, State.OK)


@dataclass
class _Question:
    """One thing to ask in a thread of its own. `about` are id and subject of the checks that are unknown where it fails: one that
    was simply missing could pass for one that is OK again.
    """

    about: tuple[tuple[str, str], ...]
    ask: Callable[[], Iterable[Check]]
    found: list[Check] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def begin(self) -> None:
        threading.Thread(target=self._run, name=f"health {self.about[0][0]}", daemon=True).start()

    def answers(self, *, until: float) -> list[Check]:
        """What was found until that moment of the monotonic clock."""
        if self.ended.wait(max(0.0, until - time.monotonic())):
            return list(_scrubbed(self.found))
        return [*_scrubbed(self.found), *self._unknown(_("no answer within {seconds} s", seconds=f"{PATIENCE_SECONDS:g}"))]

    def _run(self) -> None:
        try:
            for check in self.ask():
                self.found.append(check)
        except BackupsError as error:
            self.found += self._unknown(joined(" ", filter(None, (error.message, error.detail))), hint=error.hint)
        except DatabaseError as error:
            told = history.unreachable(error)
            self.found += self._unknown(joined(" ", (told.message, told.detail)), hint=told.hint)
        except Exception as error:  # noqa: BLE001 - one question must not keep the others from being told
            self.found += self._unknown(_("could not be asked: {name}: {error}", name=type(error).__name__, error=error))
        finally:
            connections.close_all()  # this thread's own
            self.ended.set()

    def _unknown(self, text: str, *, hint: str = "") -> list[Check]:
        known = {(check.id, check.subject) for check in self.found}
        return [
            Check(id=id_, subject=subject, state=State.UNKNOWN, text=text, hint=hint)
            for id_, subject in self.about
            if (id_, subject) not in known
        ]


def _scrubbed(checks: Iterable[Check]) -> Iterator[Check]:
    """What other programs say may quote an address with its password."""
    secrets = stores.secrets()
    for check in checks:
        error = BackupsError(check.text, hint=check.hint).scrub(secrets)
        yield replace(check, text=error.message, hint=error.hint)


@dataclass
class _History:
    """What the history tells, which other questions need, too. Without it the site's own database is asked all the same."""

    limits: Thresholds
    sites: list[Site] = field(default_factory=list)
    newest_bytes: int | None = None

    def ask(self) -> list[Check]:
        """All or nothing."""
        return list(self._checks())

    def _checks(self) -> Iterator[Check]:
        now, schedules = timezone.now(), backup_schedules()
        self.sites = sites(frozenset(schedule.database for schedule in schedules))
        newest = [of_backups.whole(site).values_list("size_bytes", flat=True).first() for site in self.sites]
        self.newest_bytes = max((size for size in newest if size), default=None)
        for site in self.sites:
            grace = of_backups.grace(site, self.limits, now=now)
            due = of_schedule.due(schedules, alias=site.alias, now=now, grace=grace)
            yield from of_backups.checks(site, self.limits, due=due, now=now)
        yield from of_schedule.checks(self.limits, schedules=schedules, now=now)


def report() -> list[Check]:
    """Every check, those that need somebody first. Takes a minute at most; what did not answer by then is unknown.

    Raises ConfigurationError for settings that can't be used.
    """
    known = _History(conf.current().health)
    found = _asked([_Question((("history", ""),), known.ask)])
    found += _asked(list(_questions(known)))
    return sorted(found, key=lambda check: _URGENCY.index(check.state))


def _questions(known: _History) -> Iterator[_Question]:
    limits = known.limits
    bucket = stores.configured().s3
    yield _Question(of_store.about(bucket, limits), partial(of_store.checks, bucket, limits))
    looked_at = known.sites or [Site(alias="default", server=history.server(), is_namesake=False)]
    for server in {(site.server.host, site.server.port): site.server for site in looked_at}.values():
        yield _Question(of_server.about(server), partial(of_server.checks, server, limits))
    for site in looked_at:
        yield _Question((("backup-role", site.name),), partial(of_server.role, site))
    for name, folder in of_machine.folders().items():
        room = partial(of_machine.disk, name, folder, limits, newest_bytes=known.newest_bytes)
        yield _Question((("disk", name),), room)


def _asked(questions: list[_Question]) -> list[Check]:
    until = time.monotonic() + PATIENCE_SECONDS
    for question in questions:
        question.begin()
    return [check for question in questions for check in question.answers(until=until)]
