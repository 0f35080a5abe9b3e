"""What backups there are: the manifests of the stores, joined with the history.

The stores are the truth and the history an index to them: each is used without the other, and what is in one and not in the
other is marked. `joining` does that, `listing` tells all there is; `finding` picks one to restore, `newest` the latest;
`files` takes one from a disk.
"""

from backups.catalog.entries import Entry, Listing, Mark
from backups.catalog.files import LocalArchive, from_file
from backups.catalog.finding import copies, find, is_lost, key_of
from backups.catalog.held import Copies, Found, Held
from backups.catalog.joining import Catalogue, Seen
from backups.catalog.listing import list_backups, manifests
from backups.catalog.proof import LONGEST_REASON, read_globals, read_manifest, read_pin
from backups.catalog.whose import cluster_of, is_database_of

__all__ = [
    "LONGEST_REASON",
    "Catalogue",
    "Copies",
    "Entry",
    "Found",
    "Held",
    "Listing",
    "LocalArchive",
    "Mark",
    "Seen",
    "cluster_of",
    "copies",
    "find",
    "from_file",
    "is_database_of",
    "is_lost",
    "key_of",
    "list_backups",
    "manifests",
    "read_globals",
    "read_manifest",
    "read_pin",
]
