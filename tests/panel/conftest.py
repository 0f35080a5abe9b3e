"""Browsers for the panel, one for each kind of viewer: Django's test client, which follows no script."""

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client


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
