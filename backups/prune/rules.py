"""The retention policy, as BACKUPS["RETENTION"] gives it."""

from dataclasses import fields

from backups import conf
from backups.exceptions import ConfigurationError
from backups.retention import Policy
from backups.sentences import sentence as _

EXAMPLE = '{"keep_last": 7, "daily": 14, "weekly": 8, "monthly": 12}'


def policy() -> Policy:
    """The policy as it is now; without a rule where none is set.

    Raises ConfigurationError for a rule that is not known, and for a value that can't be meant.
    """
    given, known = conf.current().retention, [field.name for field in fields(Policy)]
    if unknown := sorted(str(name) for name in given if name not in known):
        raise ConfigurationError(
            _("BACKUPS['RETENTION'] has no rule named {unknown}.", unknown=", ".join(unknown)),
            hint=_("Known are: {known}.", known=", ".join(known)),
        )
    try:
        return Policy(**given)
    except ValueError as error:
        raise ConfigurationError(
            _("BACKUPS['RETENTION']: {error}", error=error), hint=_("For example: {example}", example=EXAMPLE)
        ) from error


def has_rules(rules: Policy) -> bool:
    """Whether anything can ever be obsolete."""
    return rules.has_keep_rule or rules.maximum_total_bytes is not None
