"""Fields of the history's models."""

from typing import Any

from django.db import models


class LargeJSONField(models.JSONField):
    """JSON of some kilobytes, as one of the tables of a database.

    Django's bulk insert (since 5.2) makes an array of each column, and psycopg escapes the texts of an array in Python, quote by
    quote: a quarter of the time of a sync. Where a field has a placeholder of its own, each value stays one.
    """

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
        """Of one value."""
        return "%s"

    def deconstruct(self) -> Any:
        """To migrations it is Django's."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs
