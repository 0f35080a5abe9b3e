"""The app."""

from django.apps import AppConfig


class BackupsConfig(AppConfig):
    """Backups of PostgreSQL."""

    name = "backups"
    verbose_name = "Backups"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers the system checks, and gives our sentences Django's translations."""
        from django.utils import translation

        from backups import checks  # noqa: F401 - registers on import, and can't be imported before the apps are ready
        from backups.sentences import Sentence

        Sentence.gettext, Sentence.ngettext = staticmethod(translation.gettext), staticmethod(translation.ngettext)
