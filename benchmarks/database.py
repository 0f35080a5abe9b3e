"""The database that is measured: pgbench's largest table, a quarter of it, and a table of JSON events."""

import psycopg

ACCOUNT_BYTES, EVENT_BYTES = 147, 238  # measured: table and primary key, by row


def make(connection: psycopg.Connection[tuple[object, ...]], *, size_bytes: int) -> None:
    """Fills an empty database up to about that size."""
    accounts, events = size_bytes // 4 // ACCOUNT_BYTES, size_bytes * 3 // 4 // EVENT_BYTES
    connection.execute("CREATE TABLE pgbench_accounts (aid int, bid int, abalance int, filler char(84))")
    connection.execute(
        "INSERT INTO pgbench_accounts SELECT n, 1 + n / 100000, 0, '' FROM generate_series(1, %s::int) n", [accounts]
    )
    connection.execute("ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid)")
    connection.execute("CREATE TABLE event (id bigint, at timestamptz, body jsonb)")
    connection.execute(
        """
        INSERT INTO event SELECT n, now() - n * interval '1 s', jsonb_build_object(
            'user', md5((n %% 50000)::text), 'path', '/shop/item/' || (n::bigint * 7919 %% 100000),
            'ms', n %% 977, 'tags', jsonb_build_array(md5(n::text), n %% 13))
        FROM generate_series(1, %s::int) n
        """,
        [events],
    )
    connection.execute("ALTER TABLE event ADD PRIMARY KEY (id)")
    connection.execute("VACUUM ANALYZE")
