"""What the scheduler says each half minute, and nobody needs to read at night."""

import logging

OFTEN = frozenset({"backups.tasks.tend", "backups.tasks.pulse", "backups.tasks.check_health"})


class WithoutChatter(logging.Filter):
    """Leaves out that one of these was sent. That they are sent shows in the health of the scheduler; other lines pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is shown."""
        is_often = isinstance(record.args, tuple) and bool(OFTEN.intersection(map(str, record.args)))
        return record.levelno > logging.INFO or not is_often
