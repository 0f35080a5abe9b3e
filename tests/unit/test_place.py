"""Places: when a run that died was on the very server that one is connected to now."""

import pytest

from backups.postgres.place import Place, is_on_this_machine

CLUSTER = "7300000000000000001"


def place(address: str = "db.example.org:5432", cluster: str = CLUSTER) -> Place:
    return Place(address=address, system_identifier=cluster, is_on_this_machine=is_on_this_machine(address.rpartition(":")[0]))


@pytest.mark.parametrize(
    ("address", "cluster"),
    [
        pytest.param("db.example.org:5432", CLUSTER, id="a server with a name"),
        pytest.param("db.example.org:5432", "", id="a hosted server that hides its identity"),
        pytest.param("db.example.org:5432 (standby 10.0.0.7)", CLUSTER, id="a standby with a name"),
        pytest.param("localhost:5432", CLUSTER, id="a server of this machine"),
    ],
)
def test_a_run_at_the_same_address_of_the_same_cluster_was_here(address: str, cluster: str) -> None:
    assert place(address, cluster).is_place_of(address=address, system_identifier=cluster)


@pytest.mark.parametrize(
    ("here", "address", "cluster"),
    [
        pytest.param(place(), "db.example.org:5432", "7300000000000000002", id="another cluster"),
        pytest.param(place(), "db.example.org:5432", "", id="a cluster that nobody knows"),
        pytest.param(place(cluster=""), "db.example.org:5432", CLUSTER, id="here is a cluster that nobody knows"),
        pytest.param(place(), "db.example.org:5433", CLUSTER, id="another port"),
        pytest.param(place(), "replica.example.org:5432", CLUSTER, id="another name"),
        pytest.param(place(), "db.example.org:5432 (standby 10.0.0.7)", CLUSTER, id="the standby of this primary"),
        pytest.param(
            place("db.example.org:5432 (standby 10.0.0.8)"), "db.example.org:5432 (standby 10.0.0.7)", CLUSTER, id="its twin"
        ),
        pytest.param(place("localhost:5432", ""), "localhost:5432", "", id="a localhost that nobody knows"),
        pytest.param(place("/var/run/postgresql:5432", ""), "/var/run/postgresql:5432", "", id="a socket that nobody knows"),
        pytest.param(
            place("127.0.0.1:5432 (standby 127.0.0.1)"), "127.0.0.1:5432 (standby 127.0.0.1)", CLUSTER, id="a local standby"
        ),
        pytest.param(place(), "", "", id="nowhere"),
    ],
)
def test_in_doubt_a_run_was_somewhere_else(here: Place, address: str, cluster: str) -> None:
    assert not here.is_place_of(address=address, system_identifier=cluster)


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "LocalHost.", "localhost.localdomain", "db.localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]",
     "::ffff:127.0.0.1", "0.0.0.0", "/tmp", "@abstract", "ip6-localhost"],
)  # fmt: skip
def test_each_machine_has_such_a_host_for_itself(host: str) -> None:
    assert is_on_this_machine(host)


@pytest.mark.parametrize("host", ["db", "db.example.org", "10.0.0.7", "fe80::1%eth0", "localhost2", "mylocalhost.example.org"])
def test_such_a_host_is_the_same_for_all(host: str) -> None:
    assert not is_on_this_machine(host)
