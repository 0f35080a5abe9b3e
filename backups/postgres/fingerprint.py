"""A number for all rows of a table that does not depend on their order: equal contents, equal number.

docs/manifest.md says how anybody can make it with psql alone.
"""

from typing import LiteralString

import psycopg
from psycopg import sql

from backups.exceptions import UnreadableError
from backups.postgres.connect import Connection

# Whatever changes how a value is written. pg_dump fixes the same ones, and for the same reason; an empty search_path makes
# regclass and its like write the schema. https://www.postgresql.org/docs/current/runtime-config-client.html
_WRITTEN_ALIKE: LiteralString = """
    SELECT set_config('search_path', '', true), set_config('DateStyle', 'ISO, YMD', true),
           set_config('IntervalStyle', 'postgres', true), set_config('TimeZone', 'UTC', true),
           set_config('extra_float_digits', '3', true), set_config('bytea_output', 'hex', true),
           set_config('lc_monetary', 'C', true), set_config('quote_all_identifiers', 'off', true)
"""
# record_out and no cast: a cast from a row's type to text may be anybody's function, and would run with our rights.
# sum() of bigint is numeric and does not overflow. The bytes are hashed as the database stores them, without a conversion.
_ROWS_AND_SUM = """
    SELECT count(*), coalesce(sum(
        ('x' || left(encode(sha256(convert_to(textin(record_out(t.*)), getdatabaseencoding())), 'hex'), 16))::bit(64)::bigint
    ), 0) FROM ONLY {} t
"""


def fingerprint(connection: Connection, *, schema: str, table: str) -> tuple[int, str]:
    """How many rows the table has, and their fingerprint: 16 hex digits, the sum of the first 8 bytes of each row's SHA-256.

    Reads the table once; children of inheritance are apart. Raises UnreadableError where a row is too large to be written as
    one text (1 GB), and psycopg.Error.
    """
    query = sql.SQL(_ROWS_AND_SUM).format(sql.Identifier(schema, table))
    try:
        with connection.transaction():
            connection.execute(_WRITTEN_ALIKE)
            found = connection.execute(query).fetchone()
    except psycopg.errors.ProgramLimitExceeded as error:
        raise UnreadableError(
            f"A row of {schema}.{table} is too large for a fingerprint.",
            detail=str(error).strip(),
            hint="Make the backup without --fingerprint (BACKUPS_FINGERPRINT).",
        ) from error
    assert found is not None
    rows, total = found
    return rows, f"{int(total) % 2**64:016x}"
