"""Parts of bodies and queries that more than one operation has."""

from datetime import UTC
from typing import Any

from rest_framework import serializers


class Moment(serializers.DateTimeField):
    """In UTC."""

    def __init__(self, **given: Any) -> None:
        super().__init__(default_timezone=UTC, **given)


class Strict(serializers.Serializer[Any]):
    """A body or query in which nothing is overlooked: a field that there is none of is refused by its name."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError."""
        if hasattr(data, "keys") and (unknown := sorted(set(data.keys()) - set(self.fields))):
            known = ", ".join(self.fields) or "none"
            raise serializers.ValidationError({name: [f"There is no such field. There are: {known}."] for name in unknown})
        return super().to_internal_value(data)
