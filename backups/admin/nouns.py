"""Single words that rows, rooms without Django and Django's fields have in English, for the panel to say in its language."""

from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext, gettext_noop

from backups.sentences import Sentence

KNOWN = (
    # phases of a run
    *(gettext_noop("checking"), gettext_noop("counting rows"), gettext_noop("dumping"), gettext_noop("completing")),
    *(gettext_noop("taking the snapshot"), gettext_noop("comparing"), gettext_noop("downloading"), gettext_noop("loading")),
    *(gettext_noop("proving"), gettext_noop("reading"), gettext_noop("decoding"), gettext_noop("asserting")),
    *(gettext_noop("loading in place"), gettext_noop("backing up what is there"), gettext_noop("neutralizing")),
    *(gettext_noop("carrying the history over"), gettext_noop("putting them into the schema"), gettext_noop("swapping")),
    gettext_noop("cancelling"),
    # how far a verification went
    *(gettext_noop("stored"), gettext_noop("readable"), gettext_noop("restored")),
    # what an object in the bucket is
    *(gettext_noop("manifest"), gettext_noop("globals"), gettext_noop("pin"), gettext_noop("record"), gettext_noop("other")),
    gettext_noop("dump"),
    # columns by which lists are filtered
    *(gettext_noop("outcome"), gettext_noop("action"), gettext_noop("channel"), gettext_noop("purpose"), gettext_noop("status")),
    *(gettext_noop("mode"), gettext_noop("level"), gettext_noop("verdict")),
)

# What an error says where no more is known: the docstring of its class.
OF_ERRORS = (
    gettext_noop("No worker is alive that would do this, so it was not queued."),
    gettext_noop("This Idempotency-Key was used for another request."),
    gettext_noop("This site restores nothing onto that target by the web."),
    gettext_noop("There is no such backup."),
    gettext_noop("A backup of this database is already running."),
    gettext_noop("Another run must end first."),
    gettext_noop("As many runs are queued or at work as may be."),
    gettext_noop("The bucket can't be used."),
    gettext_noop("The database can't be reached."),
    gettext_noop("The history could not be read or written."),
    gettext_noop("The manifest can't be trusted."),
    gettext_noop("The object is not in the store."),
    gettext_noop("The object store did not do what was asked."),
    gettext_noop("PostgreSQL did not do what was asked."),
    gettext_noop("The settings don't allow this."),
)


def noun(word: Any) -> str:
    """In the viewer's language; a word that is not KNOWN, as a name, is left as it is."""
    if isinstance(word, Sentence):
        return word.translated()
    text = str(word)
    return gettext(text) if text in KNOWN else text


def heading(word: Any) -> str:
    """The same with a capital."""
    return str(capfirst(noun(word)))
