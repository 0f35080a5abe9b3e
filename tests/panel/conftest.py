"""Browsers for the panel, one for each kind of viewer: Django's test client, which follows no script."""

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from backups.backup import DatabaseBackup
from backups.models import BackupHistory
from backups.types import Server
from tests.conftest import connect


@pytest.fixture
def browser_of(groups: None) -> Callable[..., Client]:
    """A browser in which a user of that group is signed in; of none, a member of the staff without permissions."""

    def sign_in(group: str = "") -> Client:
        user = get_user_model().objects.create_user(f"of {group}", is_staff=True)
        if group:
            user.groups.add(Group.objects.get(name=group))
        client = Client(HTTP_ACCEPT="text/html")
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def viewer(browser_of: Callable[..., Client]) -> Client:
    """Who may look."""
    return browser_of("backup viewer")


@pytest.fixture
def administrator(browser_of: Callable[..., Client]) -> Client:
    """Who may do everything with backups."""
    return browser_of("backup administrator")


@pytest.fixture
def backup(source: Server, bucket: str) -> BackupHistory:
    """A whole backup of `source`, which then lost a table."""
    made = DatabaseBackup(description="good", database="source").run()
    with connect(source) as session:
        session.execute("DROP TABLE shop.purchase")
    return made
