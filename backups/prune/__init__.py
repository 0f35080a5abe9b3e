"""Retention, carried out: `pruning` is the story, `shelf` gathers what is judged, `deleting` takes one backup away.

`rules` reads the policy from the settings, `restoring` tells what is in use, `pins` keeps a backup whatever the policy says.
"""

from backups.prune.pins import Pinned, pin, unpin
from backups.prune.pruning import BackupPruning, Fate, Judged, Pruning
from backups.prune.rules import has_rules, policy

__all__ = ["BackupPruning", "Fate", "Judged", "Pinned", "Pruning", "has_rules", "pin", "policy", "unpin"]
