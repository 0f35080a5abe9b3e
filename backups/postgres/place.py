"""Which running server a session is with: every machine has its own localhost, and a standby is its primary's double."""

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from backups.postgres.connect import Connection, located, translated
from backups.postgres.snapshot import system_identifier
from backups.types import Server

# A standby has the system identifier of its primary. Behind one name there may be several, so each is marked with its address.
_STANDBY = """
    SELECT CASE WHEN pg_is_in_recovery() THEN ' (standby' || coalesce(' ' || host(inet_server_addr()), '') || ')' ELSE '' END
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A running server. `address` is host:port, with " (standby …)" on one; `system_identifier` is "" where it is hidden."""

    address: str
    system_identifier: str
    is_on_this_machine: bool  # the address means another server on another machine

    def is_place_of(self, *, address: str, system_identifier: str) -> bool:
        """Whether a run with these was made on this very server. In doubt, no: it may be alive on another."""
        if (address, system_identifier) != (self.address, self.system_identifier):
            return False
        if not self.is_on_this_machine:
            return True
        return bool(system_identifier) and " (standby" not in address


def place_of(connection: Connection, server: Server) -> Place:
    """Where the session is. Raises PostgresError."""
    found = located(server, connection)
    host = connection.info.host if "," in found.host else found.host  # of several, the one that has answered
    with translated():
        (mark,) = connection.execute(_STANDBY).fetchone() or ("",)
        identifier = system_identifier(connection)
    return Place(
        address=f"{address(host=host, port=found.port)}{mark}",
        system_identifier=identifier,
        is_on_this_machine=is_on_this_machine(host),
    )


def address(*, host: str, port: int) -> str:
    """host:port, of a length that the history has room for, a mark included."""
    return f"{host[:234]}:{port}"


def is_on_this_machine(host: str) -> bool:
    """Whether a host is a Unix socket, or a name or address that each machine has for itself."""
    name = host.strip().lower().rstrip(".")
    if not name or name.startswith(("/", "@", "localhost.", "ip6-")) or name.split(".")[-1] == "localhost":
        return True
    try:
        found = ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return found.is_loopback or found.is_unspecified
