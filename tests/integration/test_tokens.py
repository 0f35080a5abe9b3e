"""Tokens of the API: made and shown once, refused when they are over, and never told."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from backups import audit, history, keyring
from backups.access import Scope
from backups.api.authentication import TokenAuthentication
from backups.models import AuditEntry, Token
from tests.api.conftest import in_a_thread
from tests.conftest import connect, until
from tests.integration.conftest import Run

pytestmark = pytest.mark.usefixtures("history", "groups")

BY = audit.By.of_command()


class Door(APIView):
    """Tells who has come in."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = ()
    throttle_classes = ()

    def get(self, request: Request) -> Response:
        """A user's name and a token's."""
        return Response([request.user.get_username(), request.auth.name if request.auth else None])


def knock(header: str = "", *, address: str = "203.0.113.7") -> Any:
    given = {"HTTP_AUTHORIZATION": header} if header else {}
    return Door.as_view()(APIRequestFactory().get("/admin/backups/", REMOTE_ADDR=address, **given))


def issue(name: str = "deploy", *, scope: Scope = Scope.RUN, **given: Any) -> tuple[Token, str]:
    return keyring.issue(name=name, scope=scope, by=BY, **({"days": 90} | given))


# Made


def test_the_token_is_shown_once_with_how_to_use_it(run: Run) -> None:
    done = run("token_create", "deploy", "--scope", "run", "--days", "90")
    text = next(line.strip() for line in done.out.splitlines() if line.startswith("  icb_"))

    assert done.code == 0
    assert "may      view, run, verify" in done.out
    assert "curl " in done.out
    assert "icb token revoke deploy" in done.out
    assert knock(f"Bearer {text}").data == ["token-deploy", "deploy"]
    assert text not in run("token_list").out + run("token_list", "--json").out


def test_only_a_hash_of_it_is_kept() -> None:
    _token, text = issue()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(t.*)::text FROM admin.backup_token t")
        row = str(cursor.fetchone())
        cursor.execute("SELECT string_agg(to_jsonb(t.*)::text, '') FROM admin.backup_audit t")
        noted = str(cursor.fetchone())
    assert text not in row + noted
    assert text[16:] not in row + noted  # of its 64 random characters, 11 are kept to tell which it is


def test_its_own_user_can_not_log_in_and_may_do_no_more_than_the_scope() -> None:
    token, _text = issue(scope=Scope.READ)
    user = User.objects.get(username="token-deploy")
    assert token.user == user
    assert not any((user.is_staff, user.is_superuser, user.has_usable_password()))
    assert [group.name for group in user.groups.all()] == ["backup viewer"]


def test_a_group_can_be_named(run: Run) -> None:
    done = run("token_create", "cleaner", "--scope", "restore", "--group", "pruner", "--json")
    assert json.loads(done.out)["may"] == ["view", "prune"]


def test_a_token_of_a_user_who_may_nothing_says_so(run: Run) -> None:
    User.objects.create_user("nobody")
    assert "may      nothing" in run("token_create", "deploy", "--scope", "run", "--user", "nobody").out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["deploy", "--scope", "run", "--user", "nobody"], "There is no user nobody."),
        (["deploy", "--scope", "run", "--days", "0"], "valid for 1 to 366 days, not for 0"),
        (["deploy", "--scope", "run", "--days", "367"], "valid for 1 to 366 days, not for 367"),
        (["  ", "--scope", "run"], "A token needs a name"),
        (["taken", "--scope", "run"], "There is a token named taken that is not revoked."),
        (["deploy", "--scope", "all"], "invalid choice"),
    ],
)
def test_what_can_not_be_meant_is_refused_in_words(words: list[str], told: str, run: Run) -> None:
    issue("taken")
    done = run("token_create", *words)
    assert done.code == 2
    assert told in done.err
    assert Token.objects.count() == 1


def test_a_user_of_that_name_who_may_do_other_things_is_not_taken(run: Run) -> None:
    User.objects.create_superuser("token-deploy")
    done = run("token_create", "deploy", "--scope", "read")
    assert done.code == 3
    assert "There is a user token-deploy already" in done.err
    assert not Token.objects.exists()


def test_a_name_that_was_revoked_can_be_given_again() -> None:
    _token, old = issue()
    keyring.revoke("deploy", by=BY)
    _token, new = issue()
    assert knock(f"Bearer {old}").status_code == 401
    assert knock(f"Bearer {new}").data == ["token-deploy", "deploy"]


# Used


def test_the_word_of_knox_is_understood_too_and_a_request_without_any_is_nobody_s() -> None:
    _token, text = issue()
    assert knock(f"Token {text}").data == knock(f"bearer {text}").data == ["token-deploy", "deploy"]
    assert knock().data == knock("Basic cm9vdDpyb290").data == ["", None]


def test_it_is_noted_when_it_was_last_used_but_not_each_time() -> None:
    token, text = issue()
    knock(f"Bearer {text}")
    token.refresh_from_db()
    first = token.last_used_at
    assert first is not None
    knock(f"Bearer {text}")
    token.refresh_from_db()
    assert token.last_used_at == first
    Token.objects.update(last_used_at=first - timedelta(hours=1))
    knock(f"Bearer {text}")
    token.refresh_from_db()
    assert token.last_used_at >= first


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Bearer icb_0123", "Bearer a b", "Bearer \xff\xfe", "Token 0123", "Bearer icb_" + "0" * 5000, "Bearer icb_\0"],
)
def test_what_is_no_token_is_answered_with_401_and_how_to_ask(header: str) -> None:
    answer = knock(header)
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="backups"'


def outlived(token: Token) -> None:
    Token.objects.filter(pk=token.pk).update(expiry=timezone.now() - timedelta(seconds=1))


def revoked(token: Token) -> None:
    keyring.revoke(token.name, by=BY)


def of_somebody_inactive(token: Token) -> None:
    User.objects.filter(pk=token.user.pk).update(is_active=False)


@pytest.mark.parametrize(
    ("ended", "why"),
    [(outlived, "Expired on "), (revoked, "Revoked on "), (of_somebody_inactive, "Its user is not active.")],
)
def test_a_token_that_is_over_is_refused_and_that_is_noted_without_it(ended: Any, why: str) -> None:
    token, text = issue()
    ended(token)
    answer = knock(f"Bearer {text}")
    entry = AuditEntry.objects.get(outcome="refused")

    assert (answer.status_code, str(answer.data["detail"])) == (401, "This token is not valid.")
    assert (entry.action, entry.token_name, entry.address, entry.channel) == ("authenticate", "deploy", "203.0.113.7", "api")
    assert entry.detail.startswith(why)
    assert Token.objects.filter(pk=token.pk).exists()  # to be told of


def test_a_token_without_its_user_opens_nothing() -> None:
    token, text = issue()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM auth_user_groups; DELETE FROM auth_user WHERE id = %s", [token.user.pk])
    assert knock(f"Bearer {text}").status_code == 401


def test_a_flood_of_wrong_tokens_fills_no_table_and_shuts_nobody_else_out(caplog: pytest.LogCaptureFixture) -> None:
    _token, text = issue()
    with caplog.at_level(logging.INFO, logger="backups.audit"):
        codes = [knock(f"Bearer icb_{number}").status_code for number in range(35)]
    assert codes == [401] * 30 + [429] * 5
    assert AuditEntry.objects.filter(outcome="refused").count() == 30
    assert "icb_3" not in caplog.text
    assert knock("Bearer icb_x", address="203.0.113.8").status_code == 401
    assert knock(f"Bearer {text}").status_code == 200  # of the same address, but right


# Listed, and taken back


def test_the_list_tells_whose_they_are_and_whether_they_still_open_anything(run: Run) -> None:
    assert "No tokens yet" in run("token_list").out
    issue("deploy")
    issue("dashboard", scope=Scope.READ)
    keyring.revoke("deploy", by=BY)
    lines = run("token_list").out.splitlines()

    assert lines[0].split() == ["name", "id", "scope", "user", "state", "last", "used"]
    assert "token-dashboard   until " in lines[1]
    assert "token-deploy      revoked " in lines[2]
    assert [one["is_valid"] for one in json.loads(run("token_list", "--json").out)] == [True, False]


def test_it_is_taken_back_by_name_or_by_its_beginning(run: Run) -> None:
    token, _text = issue("deploy")
    other, _text = issue("dashboard", scope=Scope.READ)
    assert run("token_revoke", token.shown).code == 0
    assert "Revoked dashboard" in run("token_revoke", "dashboard").out
    assert not Token.objects.filter(revoked_at=None).exists()
    assert other.shown in run("token_list").out


def test_one_that_is_not_there_or_revoked_already_is_said(run: Run) -> None:
    issue("deploy")
    assert (run("token_revoke", "xyz").code, run("token_revoke", "icb_").code) == (2, 2)
    assert run("token_revoke", "deploy").code == 0
    assert run("token_revoke", "deploy").code == 3


def test_a_whole_token_that_was_found_somewhere_is_taken_back_and_not_repeated(run: Run) -> None:
    _token, text = issue("deploy")
    done = run("token_revoke", text)
    assert (done.code, text in done.out + done.err) == (0, False)
    unknown = run("token_revoke", "icb_" + "0" * 64)
    assert (unknown.code, "0" * 20 in unknown.out + unknown.err) == (2, False)


def test_making_and_taking_back_are_noted(run: Run) -> None:
    run("token_create", "deploy", "--scope", "run")
    run("token_create", "deploy", "--scope", "run")
    run("token_create", "  ", "--scope", "run")
    run("token_revoke", "deploy")
    run("token_revoke", "deploy")
    run("token_revoke", "Bearer icb_" + "0" * 64)
    noted = list(AuditEntry.objects.order_by("at").values_list("action", "outcome", "object", "channel"))
    assert noted == [
        ("token create", "done", "deploy", "command"),
        ("token create", "refused", "deploy", "command"),
        ("token create", "refused", "  ", "command"),
        ("token revoke", "done", "deploy", "command"),
        ("token revoke", "refused", "deploy", "command"),
        ("token revoke", "refused", "Bearer icb_00000000…", "command"),
    ]
    assert "0" * 9 not in "".join(AuditEntry.objects.values_list("detail", flat=True))


def test_two_who_make_the_same_user_at_the_same_moment_both_get_their_token() -> None:
    with transaction.atomic():
        user = User(username="token-a-b")
        user.set_unusable_password()
        user.save()
        user.groups.add(Group.objects.get(name="backup operator"))
        other = in_a_thread(lambda: issue("a b"))
        until(_waits_for_a_transaction)
    token, _text = other.result(timeout=60)
    assert token.user == user


def _waits_for_a_transaction() -> bool:
    with connect(history.server()) as session:
        return bool(session.execute("SELECT FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted").fetchall())
