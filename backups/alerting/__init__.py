"""The story: what is wrong is derived from what is, noted as an incident, and told once when it begins and once when it ends.

Nothing is raised inside a job. So somebody is told also when a worker died without a word, and no job fails because nobody
could be told.
"""

from backups.alerting.incidents import opened, over, over_but_for
from backups.alerting.looking import Looked, look
from backups.alerting.telling import Told, tell

__all__ = ["Looked", "Told", "look", "opened", "over", "over_but_for", "tell"]
