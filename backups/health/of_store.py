"""The bucket: does it answer, and what does it do itself for what lies in it?"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backups import conf, words
from backups.exceptions import StorageError
from backups.health.of_machine import clock
from backups.sentences import joined
from backups.sentences import sentence as _
from backups.storage import keys, protection
from backups.storage.protection import Answer
from backups.storage.s3 import S3Store
from backups.thresholds import Thresholds
from backups.types import Check, State


@dataclass(frozen=True, kw_only=True)
class _Protection:
    """One thing that a bucket may do. `name` is that of its threshold."""

    name: str
    noun: str
    ask: Callable[[S3Store], Answer]
    yes: str
    no: str
    action: str  # that the credentials need to ask
    advice: str = ""
    command: str = ""  # that turns it on, with {bucket} in it; untranslated, in the place of advice

    @property
    def id(self) -> str:
        return f"bucket-{self.name.replace('_', '-')}"


CLOCK = "store"  # the subject of the check of its clock
_PROTECTIONS = (
    _Protection(
        name="versioning",
        noun=_("versioning"),
        ask=protection.has_versioning,
        yes=_("keeps versions"),
        no=_("keeps no versions: what is overwritten or deleted is gone"),
        action="s3:GetBucketVersioning",
        command="aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled",
    ),
    _Protection(
        name="object_lock",
        noun=_("object lock"),
        ask=protection.has_object_lock,
        yes=_("can lock objects"),
        no=_("locks no objects: whoever has our credentials can delete all"),
        action="s3:GetBucketObjectLockConfiguration",
        advice=_("docs/bucket.md tells when a bucket should lock objects."),
    ),
    _Protection(
        name="public_access_block",
        noun=_("public access block"),
        ask=protection.blocks_public_access,
        yes=_("blocks public access"),
        no=_("does not block all public access"),
        action="s3:GetBucketPublicAccessBlock",
        command="aws s3api put-public-access-block --bucket {bucket} --public-access-block-configuration"
        " BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true",
    ),
    _Protection(
        name="lifecycle_rule",
        noun=_("lifecycle rule"),
        ask=protection.ends_unfinished_uploads,
        yes=_("ends unfinished uploads by a lifecycle rule"),
        no=_("has no lifecycle rule that ends unfinished uploads"),
        action="s3:GetLifecycleConfiguration",
        advice=_("Add a rule AbortIncompleteMultipartUpload of a day or two: docs/bucket.md"),
    ),
)


def about(store: S3Store | None, limits: Thresholds) -> tuple[tuple[str, str], ...]:
    """Id and subject of the checks of a bucket."""
    if store is None:
        return (("bucket-reachable", ""),)
    room = [] if limits.bucket_limit_bytes is None else ["bucket-space"]
    ids = ["bucket-reachable", *(one.id for one in _PROTECTIONS), *room]
    return *((id_, store.bucket) for id_ in ids), ("clock", CLOCK)


def checks(store: S3Store | None, limits: Thresholds) -> Iterator[Check]:
    """Of the bucket that the settings name."""
    if store is None:
        text, hint = _("no bucket is configured: what burns this machine burns its backups"), _("Set AWS_S3_BACKUP_BUCKET.")
        yield Check(id="bucket-reachable", state=State.BAD, text=text, hint=hint)
        return
    try:
        contact = protection.contact(store, keys.prefix(conf.current().environment))
    except StorageError as error:
        yield Check(
            id="bucket-reachable",
            subject=store.bucket,
            state=State.BAD,
            text=joined(" ", filter(None, (error.message, error.detail))),
            threshold=_("no answer"),
            hint=error.hint,
        )
        for id_, subject in about(store, limits)[1:]:
            yield Check(
                id=id_, subject=subject, state=State.UNKNOWN, text=_("{id}: not asked, the store does not answer", id=id_)
            )
        return
    text = _("answers in {seconds} ms", seconds=f"{contact.seconds * 1000:.0f}")
    yield Check(id="bucket-reachable", subject=store.bucket, state=State.OK, text=text, threshold=_("no answer"))
    for one in _PROTECTIONS:
        yield _protection(one, store, is_wanted=getattr(limits, one.name))
    if limits.bucket_limit_bytes is not None:
        yield _room(store, limits.bucket_limit_bytes, limits)
    if contact.clock_ahead_seconds is not None:
        yield clock(CLOCK, contact.clock_ahead_seconds, limits)


def _protection(one: _Protection, store: S3Store, *, is_wanted: bool) -> Check:
    threshold = _("must be on") if is_wanted else _("may be off")
    try:
        answer = one.ask(store)
    except StorageError as error:
        return Check(
            id=one.id,
            subject=store.bucket,
            state=State.UNKNOWN,
            text=joined(" ", (_("{noun}:", noun=one.noun), error.message, error.detail)),
            threshold=threshold,
            hint=error.hint,
        )
    state, text, hint = _judged(one, answer, bucket=store.bucket, is_wanted=is_wanted)
    return Check(id=one.id, subject=store.bucket, state=state, text=text, threshold=threshold, hint=hint)


def _judged(one: _Protection, answer: Answer, *, bucket: str, is_wanted: bool) -> tuple[State, str, str]:
    if answer is Answer.YES:
        return State.OK, one.yes, ""
    if answer is Answer.UNTOLD:  # not a fault of a bucket, and nothing that its operator could change
        return State.OK, _("{noun}: the store does not tell", noun=one.noun), ""
    if answer is Answer.DENIED:
        hint = _("Allow {action}, or do without: {switch}", action=one.action, switch=_switch(one))
        return State.UNKNOWN if is_wanted else State.OK, _("{noun}: these credentials may not ask for it", noun=one.noun), hint
    todo = one.command.format(bucket=bucket) or one.advice
    return (
        State.BAD if is_wanted else State.OK,
        one.no,
        joined("\n", (todo, _("If the store can't: {switch}", switch=_switch(one)))) if is_wanted else todo,
    )


def _switch(one: _Protection) -> str:
    return f"BACKUPS_HEALTH='{{\"{one.name}\": false}}'"


def _room(store: S3Store, limit_bytes: int, limits: Thresholds) -> Check:
    threshold = _(
        "above {bucket_full_percent}% of {limit_bytes}",
        bucket_full_percent=limits.bucket_full_percent,
        limit_bytes=words.size(limit_bytes),
    )
    try:
        used = protection.used_bytes(store)
    except StorageError as error:
        text = joined(" ", (error.message, error.detail))
        return Check(
            id="bucket-space", subject=store.bucket, state=State.UNKNOWN, text=text, threshold=threshold, hint=error.hint
        )
    is_full = used * 100 > limits.bucket_full_percent * limit_bytes
    return Check(
        id="bucket-space",
        subject=store.bucket,
        state=State.BAD if is_full else State.OK,
        text=_("{used} used", used=words.size(used)),
        threshold=threshold,
        hint=_("Let go of some: icb db prune --dry-run. Or raise bucket_limit_bytes in BACKUPS_HEALTH.") if is_full else "",
    )
