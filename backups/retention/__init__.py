"""Which backups are kept and which are obsolete: `policy` has rules and nouns, `deciding` the judgement. It deletes nothing."""

from backups.retention.deciding import STOPPED, decide, protecting
from backups.retention.policy import Candidate, Decision, Policy, Run

__all__ = ["STOPPED", "Candidate", "Decision", "Policy", "Run", "decide", "protecting"]
