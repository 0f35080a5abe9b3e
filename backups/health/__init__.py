"""Is all well? One line for each thing that backups depend on: the value found, and when it would not be OK.

`asking` goes through all of it, each question bounded in time; `of_backups`, `of_schedule`, `of_store`, `of_server` and
`of_machine` ask; `deciding` tells whether somebody is safe by them, `answer` says in a sentence what it means; `lately` keeps it
for a moment.
"""

from backups.health.answer import answer, as_document
from backups.health.asking import report
from backups.health.lately import full_report
from backups.health.of_schedule import worker_of

__all__ = ["answer", "as_document", "full_report", "report", "worker_of"]
