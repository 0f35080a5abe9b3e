"""Backups that an open warning says to keep: of a database whose tables have shrunk, the one from before the loss."""

from collections.abc import Iterable

from backups.alerting.incidents import open_ones
from backups.alerting.problems import SHRINK, kept_by
from backups.models import Incident


def warnings_for(filenames: Iterable[str]) -> dict[str, Incident]:
    """By the filename, the warning that names it as the one to keep. Raises what Django's database does."""
    warned = {kept_by(one.hint): one for one in open_ones().filter(event=SHRINK)}
    return {name: warned[name] for name in filenames if name in warned}
