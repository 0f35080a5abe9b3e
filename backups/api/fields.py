"""Parts of bodies and queries that more than one operation has."""

from datetime import UTC
from typing import Any

from rest_framework import serializers


class Moment(serializers.DateTimeField):
    """In UTC."""

    def __init__(self, **given: Any) -> None:
        super().__init__(default_timezone=UTC, **given)


class Text(serializers.CharField):
    """Of a body: a text. A number is none."""

    def to_internal_value(self, data: Any) -> str:
        """Raises ValidationError."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    """Of a body: true or false, and no text or number that may mean one."""

    def to_internal_value(self, data: Any) -> bool:
        """Raises ValidationError."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Strict(serializers.Serializer[Any]):
    """A body or query in which nothing is overlooked: a field that there is none of is refused by its name."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises ValidationError."""
        if hasattr(data, "keys") and (unknown := sorted(set(data.keys()) - set(self.fields))):
            known = ", ".join(self.fields) or "none"
            raise serializers.ValidationError({name: [f"There is no such field. There are: {known}."] for name in unknown})
        return super().to_internal_value(data)
