"""Who may do what: by the permission, by the scope of a token, and by how much is under way."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from backups import access
from backups.access import Action, Scope, may, scope_allows
from backups.exceptions import NoRoomError
from backups.models import BackupHistory, BackupRestore, Token
from tests.conftest import make_groups, until

pytestmark = pytest.mark.django_db

READ = {Action.VIEW}
RUN = READ | {Action.RUN, Action.VERIFY}


def user_in(group: str) -> User:
    user = User.objects.create_user(group.replace(" ", "-"))
    user.groups.add(Group.objects.get(name=group))
    return user


def allowed(request_or_user: Any) -> set[Action]:
    return {action for action in Action if may(request_or_user, action)}


def request(user: Any, auth: object = None) -> Any:
    return SimpleNamespace(user=user, auth=auth)


def token(user: User, scope: Scope) -> Token:
    made: tuple[Token, str] = Token.objects.create(user, expiry=None, prefix="icb_", name=f"of {scope}", scope=scope)
    return made[0]


@pytest.mark.parametrize(
    ("group", "actions"),
    [
        ("backup viewer", READ),
        ("backup operator", RUN),
        ("backup restorer", READ | {Action.VERIFY, Action.DOWNLOAD, Action.RESTORE}),
        ("backup pruner", READ | {Action.PRUNE}),
        ("backup administrator", set(Action)),
    ],
)
@pytest.mark.usefixtures("groups")
def test_each_group_may_do_what_its_name_says_and_no_more(group: str, actions: set[Action]) -> None:
    assert allowed(user_in(group)) == actions


@pytest.mark.usefixtures("groups")
def test_every_action_has_a_permission_that_django_knows() -> None:
    known = {f"{app}.{name}" for app, name in Permission.objects.values_list("content_type__app_label", "codename")}
    assert {access.permission_of(action) for action in Action} <= known


@pytest.mark.usefixtures("groups")
def test_no_group_has_a_permission_of_ours_that_gives_nothing() -> None:
    given = Permission.objects.filter(group__name__startswith="backup ", content_type__app_label="backups")
    assert {f"backups.{one.codename}" for one in given} == {access.permission_of(action) for action in Action}


def test_nobody_may_do_anything_without_a_permission() -> None:
    for user in (AnonymousUser(), User.objects.create_user("staff", is_staff=True)):
        assert allowed(user) == allowed(request(user)) == set()


@pytest.mark.usefixtures("groups")
def test_who_was_made_inactive_may_do_nothing() -> None:
    user = user_in("backup administrator")
    user.is_active = False
    assert allowed(user) == set()


@pytest.mark.parametrize(
    ("scope", "actions"),
    [
        (Scope.READ, READ),
        (Scope.RUN, RUN),
        (Scope.RESTORE, RUN | {Action.DOWNLOAD, Action.RESTORE, Action.PRUNE}),
    ],
)
def test_a_token_of_a_superuser_may_do_what_its_scope_lets_through(scope: Scope, actions: set[Action]) -> None:
    user = User.objects.create_superuser("root")
    assert allowed(request(user)) == set(Action)
    assert allowed(request(user, token(user, scope))) == actions
    assert {action for action in Action if scope_allows(scope, action)} == actions


@pytest.mark.usefixtures("groups")
def test_a_token_never_has_more_than_its_user() -> None:
    user = user_in("backup viewer")
    assert allowed(request(user, token(user, Scope.RESTORE))) == READ


def test_what_a_request_was_authenticated_with_and_is_no_token_of_ours_allows_nothing() -> None:
    assert allowed(request(User.objects.create_superuser("root"), {"scope": "everything"})) == set()


@pytest.mark.usefixtures("groups")
def test_a_group_that_was_there_is_left_as_the_operator_has_it() -> None:
    group = Group.objects.get(name="backup operator")
    group.permissions.clear()
    make_groups()
    assert not group.permissions.exists()


# Room


def run(status: str, environment: str = "testing", number: int = 0) -> BackupHistory:
    return BackupHistory.objects.create(
        filename=f"{status}-{number}-{environment}", status=status, environment=environment, database="site"
    )


@pytest.mark.parametrize("status", ["pending", "running"])
def test_there_is_room_until_as_many_runs_are_under_way_as_may_be(status: str) -> None:
    run(status)
    access.require_room()
    BackupRestore.objects.create(
        source_key="x", target_host="db", target_port=5432, target_database="site", target_environment="testing", status=status
    )
    with pytest.raises(NoRoomError, match=r"2 runs are queued or at work, and 2 may be\."):
        access.require_room()


def test_what_has_ended_and_what_is_of_another_environment_takes_no_room() -> None:
    for number, status in enumerate(["succeeded", "failed", "cancelled"]):
        run(status, number=number)
    run("running", "production", 1)
    run("running", "production", 2)
    access.require_room()


def test_the_settings_say_how_much_room_there_is(backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "MAX_RUNNING": 1}
    run("running")
    with pytest.raises(NoRoomError):
        access.require_room()


@pytest.mark.usefixtures("history")
def test_two_requests_do_not_both_take_the_last_place(backups_settings: Settings) -> None:
    backups_settings.BACKUPS = {**backups_settings.BACKUPS, "MAX_RUNNING": 1}

    def ask() -> str:
        try:
            with transaction.atomic():
                access.require_room()
                return "room"
        except NoRoomError:
            return "none"
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with transaction.atomic():
            access.require_room()
            other = threads.submit(ask)
            until(lambda: waiting_for_a_lock() == 1)
            run("pending")
        assert other.result() == "none"


def waiting_for_a_lock() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return int(cursor.fetchone()[0])


# What a request calls itself


def test_the_same_key_is_another_one_of_another_user_or_another_token() -> None:
    root, other = User.objects.create_superuser("root"), User.objects.create_superuser("other")
    requests = [request(root), request(other), request(root, token(root, Scope.RUN)), request(root, token(root, Scope.READ))]
    keys = [access.actor_key(one, "deploy-7") for one in requests]
    assert len(set(keys)) == 4
    assert access.actor_key(request(root), "deploy-7") == keys[0]
    assert access.actor_key(request(root), "") == ""
    assert max(map(len, keys)) <= 100
