"""Brings messages to people: through apprise and Django's mail; and tells a dead-man's switch outside that backups are made.

Nothing here raises for a receiver that is away, waits for one longer than it may, or tells what its address keeps secret.
"""

from backups.notifications.delivery import Delivery, Kind, Message, deliver
from backups.notifications.pinging import ping_failed, ping_started, ping_succeeded
from backups.notifications.receivers import MailReceiver, Receiver, URLReceiver, receivers

__all__ = [
    "Delivery",
    "Kind",
    "MailReceiver",
    "Message",
    "Receiver",
    "URLReceiver",
    "deliver",
    "ping_failed",
    "ping_started",
    "ping_succeeded",
    "receivers",
]
