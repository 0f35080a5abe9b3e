"""JSON that only we can have written: a document with a signature over its body.

For people to read; the signature is an HMAC-SHA256 over the canonical form of the body (sorted keys, no spaces, UTF-8), so white
space may change and nothing else. Nothing that is read can break the reader: it is proven, or refused in words.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from backups.exceptions import ConfigurationError, ManifestError, UnknownSignatureError

ALGORITHM = "HMAC-SHA256"
ANOTHER = "It is damaged, or not ours. Choose another backup: icb db list"


@dataclass(frozen=True, kw_only=True)
class SignedDocument:
    """A kind of document. `body` is the field that has what is signed, `name` what people call it."""

    format: str
    version: int
    body: str
    name: str

    def serialize(self, payload: dict[str, Any], *, signing_key: bytes) -> bytes:
        """The bytes of a file. Raises ConfigurationError without a signing key."""
        signature = {"algorithm": ALGORITHM, "key_id": key_id(signing_key), "value": _sign(payload, signing_key)}
        document = {"format": self.format, "version": self.version, self.body: payload, "signature": signature}
        return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"

    def proven(self, data: bytes, *, signing_keys: Sequence[bytes]) -> object:
        """The body in a file's bytes, proven to be signed with one of the keys; the first is the one that signs now.

        Raises ManifestError for anything else, naming the key's id where it was signed with another one.
        """
        broken = f"The {self.name} is not well formed"
        document = fields_of(self._loads(data), {"format", "version", self.body, "signature"}, f"{broken}: the {self.name}")
        if document["format"] != self.format or document["version"] != self.version or isinstance(document["version"], bool):
            raise UnknownSignatureError(
                f"The {self.name}'s format {_shown(document['format'])}, version {_shown(document['version'])} is unknown.",
                hint=f"This version of the backup system reads {self.format} version {self.version}. Was it made by a newer one?",
            )
        signature = fields_of(document["signature"], {"algorithm", "key_id", "value"}, f"{broken}: the signature")
        self._require_signature(document[self.body], signature, signing_keys)
        payload: object = document[self.body]
        return payload

    def _require_signature(self, payload: object, signature: dict[str, Any], signing_keys: Sequence[bytes]) -> None:
        if signature["algorithm"] != ALGORITHM:
            raise ManifestError(f"The {self.name}'s signature is not {ALGORITHM}.", hint=ANOTHER)
        ours = {key_id(key): key for key in reversed(signing_keys)}
        if not isinstance(signature["key_id"], str) or signature["key_id"] not in ours:
            raise UnknownSignatureError(
                f"The {self.name} was signed with another key: {_shown(signature['key_id'])};"
                f" ours is {', '.join(_shown(key_id(key)) for key in signing_keys)}.",
                hint="If it is a key that this site had before, add it to BACKUPS_SIGNING_KEY_FALLBACKS. If another site made the"
                " backup, set BACKUPS_SIGNING_KEY, for this one command, to its key: it is in its settings, not in the bucket.",
            )
        try:
            expected = _sign(payload, ours[signature["key_id"]])
        except (UnicodeEncodeError, RecursionError) as error:
            raise ManifestError(f"The {self.name} is not well formed.", detail=type(error).__name__, hint=ANOTHER) from error
        given = signature["value"]
        if not isinstance(given, str) or not given.isascii() or not hmac.compare_digest(given, expected):
            raise ManifestError(
                f"The {self.name}'s signature does not match: it was changed after the backup was made, or is damaged.",
                hint="Do not restore this backup. Choose another one: icb db list",
            )

    def _loads(self, data: bytes) -> object:
        def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
            made = dict(pairs)
            if len(made) != len(pairs):
                raise ValueError("a name stands twice")
            return made

        def refuse(text: str) -> NoReturn:
            raise ValueError(f"{text} is not a number of JSON")

        try:
            return json.loads(data, object_pairs_hook=once, parse_constant=refuse)
        except (ValueError, RecursionError) as error:
            detail = "" if isinstance(error, UnicodeDecodeError) else str(error)
            raise ManifestError(
                f"The {self.name} can't be read: it is not JSON as we write it.",
                detail=detail,
                hint=ANOTHER,
            ) from error


def key_id(signing_key: bytes) -> str:
    """A name for a signing key that does not tell the key: 16 hex digits."""
    if not signing_key:
        raise ConfigurationError(
            "There is no signing key, so no backup could ever be proven to be ours.",
            hint="Set BACKUPS_SIGNING_KEY to a long random text, and keep it somewhere else than the backups.",
        )
    return hmac.new(signing_key, b"icb manifest key id", hashlib.sha256).hexdigest()[:16]


def fields_of(given: object, names: set[str], what: str) -> dict[str, Any]:
    """The fields of an object that must have these and no others. Raises ManifestError."""
    if not isinstance(given, dict) or set(given) != names:
        raise ManifestError(f"{what} has not the fields it should have.", hint=ANOTHER)
    return given


def _sign(payload: object, signing_key: bytes) -> str:
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return hmac.new(signing_key, canonical, hashlib.sha256).hexdigest()


def _shown(given: object) -> str:
    """For a message: of anything but a short text or number only its kind, as it may be huge or deep."""
    return repr(given) if isinstance(given, str | int | float) and len(repr(given)) <= 64 else f"(a {type(given).__name__})"
