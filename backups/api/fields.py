"""Parts of bodies and queries that more than one operation has."""

from collections.abc import Collection
from datetime import UTC
from typing import Any

from rest_framework import serializers

NAMED = 5  # fields that are refused are named so far, and the rest is counted: an answer is no echo
LONGEST_NAME = 60


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
        if hasattr(data, "keys") and (unknown := set(data.keys()) - set(self.fields)):
            raise refused(unknown, f"There is no such field. There are: {', '.join(self.fields) or 'none'}.")
        return super().to_internal_value(data)


class NothingSerializer(Strict):
    """Nothing is to be said."""


def refused(names: Collection[str], message: str) -> serializers.ValidationError:
    """What is wrong with all these fields, said of the first NAMED of them."""
    first = sorted(names)[:NAMED]
    told = {name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…": [message] for name in first}
    if more := len(names) - len(first):
        told["non_field_errors"] = [f"And {more} more."]
    return serializers.ValidationError(told)
