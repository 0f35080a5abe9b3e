"""Retention, carried out: `pruning` is the story, `shelf` gathers what is judged, `deleting` takes one backup away.

`one` is the other story: somebody wants one gone. `rules` reads the policy from the settings, `restoring` tells what is in use,
`locks` what the bucket holds fast, `pins` keeps a backup whatever the policy says.
"""

from backups.prune.one import Deleted, delete_one
from backups.prune.pins import Pinned, is_reason, pin, unpin
from backups.prune.pruning import BackupPruning, Fate, Judged, Pruning
from backups.prune.rules import has_rules, policy

__all__ = [
    "BackupPruning",
    "Deleted",
    "Fate",
    "Judged",
    "Pinned",
    "Pruning",
    "delete_one",
    "has_rules",
    "is_reason",
    "pin",
    "policy",
    "unpin",
]
