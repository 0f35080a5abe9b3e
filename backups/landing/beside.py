"""Into a schema of its own beside the live ones."""

from typing import Any

from backups import conf
from backups.exceptions import BackupsError, RefusedError
from backups.landing.staging import Staging
from backups.landing.work import Work, compared, make_stand_ins
from backups.postgres import beside
from backups.postgres.compare import Comparison
from backups.postgres.connect import connected, quoted
from backups.postgres.lock import end_sessions_of
from backups.postgres.programs import choose_pg_dump


class Beside:
    """Chosen tables in a schema of their own beside the live ones, to fetch lost rows from with plain SQL."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.plan = work.plan
        self.staging = Staging(work)
        self.loaded = self.staging.server
        self._is_begun = False

    def load(self) -> None:
        self.plan.require_unchanged()
        beside.require_free_schema(self.plan.target, schema=self.plan.choices.into_schema)
        make_stand_ins(self.plan)
        self.staging.make()
        self.staging.load()

    def compare(self) -> Comparison | None:
        return compared(self.work, self.loaded, tables=self.staging.tables)

    def prepare(self, own_row: dict[str, Any]) -> list[str]:
        """Here, where it can be interrupted: it may take as long as loading did."""
        schema = self.plan.choices.into_schema
        self.work.tell("putting them into the schema")
        dumped = beside.dump_gathered(
            choose_pg_dump(self.plan.there.server_major, folders=conf.current().client_folders),
            self.staging.server,
            schema=schema,
            tables=self.staging.tables,
            folder=self.work.folder,
            run_id=self.work.run_id,
        )
        self.plan.require_unchanged()
        beside.require_free_schema(self.plan.target, schema=schema)
        self._is_begun = True
        beside.load_schema(self.work.program, dumped, target=self.plan.target, run_id=self.work.run_id)
        return []

    def place(self) -> None:
        return None

    def settle(self, own_row: dict[str, Any]) -> list[str]:
        left = self.staging.drop()
        return [left] if left else []

    def clear(self) -> str:
        return "\n".join(filter(None, (self._schema_left(), self.staging.drop())))

    def _schema_left(self) -> str:
        """It was loaded in one transaction, so it is there whole or not at all."""
        target, schema = self.plan.target, self.plan.choices.into_schema
        if not self._is_begun:
            return ""
        try:
            with connected(target, application_name="restore: look") as connection:
                end_sessions_of(connection, run_id=self.work.run_id)
            beside.require_free_schema(target, schema=schema)
        except RefusedError:
            return (
                f"The schema {schema} is in {target.database}, whole. If you don't want it: DROP SCHEMA {quoted(schema)} CASCADE"
            )
        except BackupsError as error:
            return f"Whether the schema {schema} is in {target.database} could not be asked. {error.message}"
        return ""
