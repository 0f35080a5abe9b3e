"""What is not in the backups of the site's databases: looked at on their servers, in the stores and on this machine.

Nothing is changed, and what can't be seen is said. `looking` goes through them all; `of_database`, `of_server` and `of_media`
put into words what they found.
"""

from backups.coverage.looking import coverage
from backups.coverage.nouns import Coverage, Finding, Level

__all__ = ["Coverage", "Finding", "Level", "coverage"]
