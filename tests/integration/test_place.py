"""Places, on real servers: a primary and a standby."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from backups.postgres.connect import connect
from backups.postgres.place import Place, place_of
from backups.types import Server
from ichrisbirch_site.embedded import services
from ichrisbirch_site.embedded.postgres import PostgreSQL
from tests.conftest import connect as connect_plainly
from tests.conftest import server_of
from tests.services import new_home


def where(server: Server) -> Place:
    with connect(server, application_name="test") as connection:
        return place_of(connection, server)


@pytest.fixture
def standby() -> Iterator[Server]:
    """A server in recovery that waits for a primary."""
    postgres = PostgreSQL(new_home(f"standby-{uuid4().hex[:6]}"))
    services.ensure([postgres], say=lambda line: None)
    services.stop(postgres)
    (postgres.data / "standby.signal").touch()
    services.ensure([postgres], say=lambda line: None)
    yield server_of(postgres)
    services.stop(postgres)


def test_a_primary_is_known_by_its_address_and_its_cluster(admin: Server) -> None:
    with connect_plainly(admin) as session:
        (cluster,) = session.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone() or ("",)

    assert where(admin) == Place(address=f"{admin.host}:{admin.port}", system_identifier=str(cluster), is_on_this_machine=True)


def test_a_standby_is_marked(standby: Server) -> None:
    assert where(standby).address == f"{standby.host}:{standby.port} (standby 127.0.0.1)"


def test_a_cluster_that_hides_its_identity_has_an_empty_one(make_database: Callable[..., Server]) -> None:
    server = make_database()
    role = replace(server, user=f"r_{uuid4().hex[:8]}", password="p")
    with connect_plainly(server) as session:
        session.execute(f"CREATE ROLE {role.user} LOGIN PASSWORD 'p'".encode())
        session.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        try:
            assert where(role).system_identifier == ""
        finally:
            session.execute(f"DROP ROLE {role.user}".encode())
