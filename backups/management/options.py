"""The options of the commands, in one place: manage.py, icb and `python -m backups.…` show the same."""

from argparse import ArgumentParser, BooleanOptionalAction

from backups.storage.keys import DESCRIPTION_RULE


def backup(parser: ArgumentParser) -> None:
    """Of db_backup."""
    parser.add_argument("words", nargs="?", metavar="DESCRIPTION", help=f"what it is for: {DESCRIPTION_RULE}")
    parser.add_argument("--description", metavar="DESCRIPTION", help="the same as an option")
    parser.add_argument("--save-local", action="store_true", help="also keep a copy in the local folder")
    parser.add_argument("--skip-upload", action="store_true", help="do not upload to S3 (needs --save-local)")
    parser.add_argument("--database", default="default", metavar="ALIAS", help="which of the site's databases (default: default)")
    parser.add_argument(
        "--fingerprint",
        action=BooleanOptionalAction,
        help="hash every row as well: a restore, verify and diff then see a changed row where the count is the same; reads"
        " longer (default: BACKUPS_FINGERPRINT)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def listing(parser: ArgumentParser) -> None:
    """Of db_list."""
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="how many, newest first (default: 20; 0 is all)")
    parser.add_argument("--all-environments", action="store_true", help="not only those of this environment")
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def verify(parser: ArgumentParser) -> None:
    """Of db_verify."""
    parser.add_argument(
        "backup", nargs="?", metavar="FILENAME|latest", help="a filename as icb db list shows it, its beginning, or latest"
    )
    parser.add_argument("--all-unverified", action="store_true", help="every backup that no restore has proven yet, newest first")
    parser.add_argument(
        "--level",
        choices=["stored", "readable", "restored"],
        default="restored",
        help="stored: size and SHA-256 of what the store holds; readable: the whole archive decoded; restored (default): loaded"
        " into a scratch database, which is dropped again, and compared",
    )
    parser.add_argument("--database", default="default", metavar="ALIAS", help="whose backups (default: default)")
    parser.add_argument("--environment", metavar="NAME", help="of which environment (default: this one's)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def diff(parser: ArgumentParser) -> None:
    """Of db_diff."""
    parser.add_argument("before", metavar="A", help="a filename as icb db list shows it, its beginning, or latest")
    parser.add_argument(
        "after", nargs="?", default="live", metavar="B", help="the same; or live, the database as it is now (default)"
    )
    parser.add_argument(
        "--database", default="default", metavar="ALIAS", help="which of the site's databases is meant by latest and live"
    )
    parser.add_argument("--environment", metavar="NAME", help="whose backups (default: this environment's)")
    parser.add_argument(
        "--fingerprint", action="store_true", help="hash the live rows too, to hold them against a backup with --fingerprint"
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def coverage(parser: ArgumentParser) -> None:
    """Of db_coverage."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def health(parser: ArgumentParser) -> None:
    """Of db_health."""
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def sync(parser: ArgumentParser) -> None:
    """Of db_sync."""
    parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def restore(parser: ArgumentParser) -> None:
    """Of db_restore."""
    parser.add_argument(
        "backup", nargs="?", metavar="FILENAME|latest", help="a filename as icb db list shows it, its beginning, or latest"
    )
    parser.add_argument("--filename", metavar="FILENAME|latest", help="the same as an option")
    parser.add_argument("--database", default="default", metavar="ALIAS", help="whose latest backup (default: default)")
    parser.add_argument("--environment", metavar="NAME", help="of which environment (default: this one's)")
    parser.add_argument("--from-file", metavar="PATH", help="an archive on this machine, with its manifest PATH.json beside it")
    parser.add_argument("--trust-unsigned", action="store_true", help="with --from-file: an archive that we did not sign")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    parser.add_argument("--yes", metavar="NAME", help="the name of the database that is replaced, for scripts")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    _target(parser)
    how = parser.add_argument_group("how")
    how.add_argument("--no-owner", action="store_true", help="give everything to the target's user")
    how.add_argument("--no-privileges", action="store_true", help="leave out GRANTs of the backup")
    how.add_argument(
        "--map-role", action="append", metavar="OLD=NEW", help="let NEW act for the role OLD, which the server does not have"
    )
    how.add_argument("--neutralize", action=BooleanOptionalAction, help="empty sessions and tokens, disable scheduled tasks")
    how.add_argument(
        "--in-place", action="store_true", help="where no database can be created: in one transaction, all or nothing"
    )
    how.add_argument("--no-safety-backup", action="store_true", help="with --in-place: do not first back up what is there")
    parts = parser.add_argument_group("parts")
    parts.add_argument("--table", action="append", metavar="SCHEMA.NAME", help="only this table (may be given several times)")
    parts.add_argument("--into-schema", metavar="NAME", help="with --table: into a new schema beside the live tables")
    parts.add_argument("--schema-only", action="store_true", help="definitions without rows")
    after = parser.add_argument_group("afterwards, instead of a backup")
    after.add_argument("--undo", action="store_true", help="swap back what the newest restore has replaced")
    after.add_argument("--kept", metavar="NAME", help="with --undo: not the newest, but this kept database of icb db list")
    after.add_argument("--discard-previous", action="store_true", help="drop what restores have replaced, for good")


def _target(parser: ArgumentParser) -> None:
    target = parser.add_argument_group("target", "what is not given comes from the site's own database")
    target.add_argument("--target-host", metavar="HOST", help="name or address of the server, or the folder of its socket")
    target.add_argument("--target-port", type=int, metavar="PORT", help="usually 5432")
    target.add_argument("--target-username", metavar="USER", help="a role that may create databases there")
    target.add_argument(
        "--target-password",
        metavar="PASSWORD",
        help="works, but others on this machine can see it: better PGPASSWORD, the file, or the prompt",
    )
    target.add_argument("--target-password-file", metavar="FILE", help="a file with the password in its first line")
    target.add_argument("--target-dbname", metavar="NAME", help="the database; a new name makes a new one")


def prune(parser: ArgumentParser) -> None:
    """Of db_prune."""
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be kept and deleted, and by which rule; delete nothing"
    )
    parser.add_argument("--now", action="store_true", help="also where the last prune of a database is less than 20 hours ago")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def cancel(parser: ArgumentParser) -> None:
    """Of db_cancel."""
    what = "a backup's filename, or the id of any run; the beginning is enough. latest: the newest that runs or is queued"
    parser.add_argument("run", metavar="FILENAME|ID|latest", help=what)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def pin(parser: ArgumentParser) -> None:
    """Of db_pin."""
    parser.add_argument("backup", metavar="FILENAME|latest", help="a filename as icb db list shows it, its beginning, or latest")
    parser.add_argument("--reason", metavar="TEXT", help="why it must be kept: somebody will ask")
    parser.add_argument("--remove", action="store_true", help="let retention judge it again")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def token_create(parser: ArgumentParser) -> None:
    """Of token_create."""
    parser.add_argument("name", metavar="NAME", help="what it is for: deploy, dashboard")
    parser.add_argument(
        "--scope",
        required=True,
        choices=["read", "run", "restore"],
        help="what it may be used for at most: look; and make and verify backups; and download, restore, pin and prune",
    )
    parser.add_argument("--days", type=int, default=90, metavar="N", help="for how long, 1 to 366 (default: 90)")
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--user", metavar="NAME", help="whose: it never can do more than that user")
    whose.add_argument(
        "--group",
        choices=["viewer", "operator", "restorer", "pruner", "administrator"],
        help="without --user it has a user of its own, who can't log in; in which group (default: the one that fits the scope)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
