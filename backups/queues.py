"""The two queues, and which task goes where. No Django: settings read it.

What may take hours (a dump, a restore, a verification, a prune) holds up nothing that must happen within a minute.
"""

BACKUPS, UPKEEP = "backups", "upkeep"
QUEUES = (BACKUPS, UPKEEP)
_TASKS = {
    BACKUPS: ("make_backup", "restore", "verify", "prune", "sync", "pulse"),
    UPKEEP: ("scheduled_backup", "tend", "check_health"),
}
# For Celery's setting `task_routes`: https://docs.celeryq.dev/en/stable/userguide/configuration.html#task-routes
ROUTES = {f"backups.tasks.{task}": {"queue": queue} for queue, tasks in _TASKS.items() for task in tasks}
