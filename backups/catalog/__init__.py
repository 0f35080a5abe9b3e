"""What backups there are: the manifests of the stores, joined with the history.

The stores are the truth and the history an index to them: each is used without the other, and what is in one and not in the
other is marked. `listing` tells all there is; `finding` picks one to restore.
"""

from backups.catalog.entries import Entry, Listing, Mark
from backups.catalog.finding import Found, find
from backups.catalog.listing import list_backups
from backups.catalog.proof import read_manifest

__all__ = ["Entry", "Found", "Listing", "Mark", "find", "list_backups", "read_manifest"]
