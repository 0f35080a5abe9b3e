"""Goes through the site's databases, their servers, and its files."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from django.db import connections

from backups import catalog, conf
from backups.catalog import Entry
from backups.coverage import of_database, of_server
from backups.coverage.nouns import Coverage, Finding, Level, Site
from backups.coverage.of_media import of_media
from backups.exceptions import BackupsError
from backups.models import BackupType
from backups.postgres import uncovered
from backups.postgres.uncovered import Surroundings
from backups.stores import configured

LOOKED_AT = 1000  # newest backups, among which each database should have one


def coverage() -> Coverage:
    """Looks at every database that the settings name, and at their servers.

    Raises ConfigurationError for settings that can't be used; a server or a store that can't be asked is a finding.
    """
    stores = configured()
    listing = catalog.list_backups(limit=LOOKED_AT)
    findings = [_unasked(problem) for problem in listing.problems]
    whole = [entry for entry in listing.entries if entry.is_whole and entry.backup_type != BackupType.PRE_RESTORE]
    clusters: dict[str, tuple[Surroundings, list[Site]]] = {}
    sites = _sites(findings)
    for site in sites:
        try:
            around, inside = uncovered.look_around(site.server), uncovered.look_inside(site.server)
        except BackupsError as error:
            findings += [of_database.newest(_with_newest(site, whole, None)), _unreachable(site, error)]
            continue
        site = _with_newest(site, whole, around.identifier)
        findings.append(of_database.newest(site))
        cluster = around.identifier or site.server.address.rpartition("/")[0]
        clusters.setdefault(cluster, (around, []))[1].append(site)
        findings += of_database.findings(site, around, inside)
    for around, members in clusters.values():
        findings += of_server.findings(around, members, stores=stores)
    findings.append(of_media())
    return Coverage(
        environment=conf.current().environment,
        databases={site.alias: site.name for site in sites},
        findings=_most_urgent_first(findings),
    )


def _sites(findings: list[Finding]) -> list[Site]:
    """The site's databases; those that two aliases name, once. What can't be one becomes a finding."""
    sites: dict[tuple[str, int, str], Site] = {}
    for alias in connections:
        try:
            server = conf.server(alias)
        except BackupsError as error:
            text = f"The alias {alias} can't be backed up. {error.message}"
            findings.append(Finding(Level.ACT, "alias", text, error.detail, error.hint))
            continue
        sites.setdefault((server.host, server.port, server.database), Site(alias=alias, server=server))
    return list(sites.values())


def _with_newest(site: Site, whole: Sequence[Entry], cluster: str | None) -> Site:
    """With its newest backup; by its name alone where nobody knows its cluster."""
    named = [entry for entry in whole if entry.database == site.name]
    ours = [entry for entry in named if cluster is None or entry.system_identifier == cluster]
    return replace(site, newest=next(iter(ours), None), namesake=next(iter(named), None) if not ours else None)


def _unasked(problem: BackupsError) -> Finding:
    text = "Not every place could be asked which backups there are."
    return Finding(Level.ACT, "unasked", text, "\n".join(filter(None, (problem.message, problem.detail))), problem.hint)


def _unreachable(site: Site, error: BackupsError) -> Finding:
    text = f"{site.name} could not be looked at, so nobody can tell what its backups leave out."
    return Finding(Level.ACT, "unreachable", text, "\n".join(filter(None, (error.message, error.detail))), error.hint)


def _most_urgent_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    order = tuple(Level)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.level)))
