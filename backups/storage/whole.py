"""Small objects, read whole."""

from collections.abc import Iterable

from backups.exceptions import StorageError


def read_whole(pieces: Iterable[bytes], *, limit_bytes: int, location: str) -> bytes:
    """The pieces of an object as one. Raises StorageError as soon as they are more than the limit."""
    taken = bytearray()
    for piece in pieces:
        taken += piece
        if len(taken) > limit_bytes:
            raise StorageError(f"{location} is larger than {limit_bytes} bytes.")
    return bytes(taken)
