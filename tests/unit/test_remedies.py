"""What to do, taken apart into sentences and commands."""

import pytest

from backups.admin.remedies import Remedy, remedies


@pytest.mark.parametrize(
    ("hint", "found"),
    [
        ("icb db verify latest", [Remedy(command="icb db verify latest")]),
        ("Make one: icb db backup first", [Remedy(said="Make one:", command="icb db backup first")]),
        (
            "icb db list tells what became of the runs since. Make one now: icb db backup now --database shop",
            [
                Remedy(
                    said="icb db list tells what became of the runs since. Make one now:",
                    command="icb db backup now --database shop",
                )
            ],
        ),
        (
            "Start a worker: icb up. One that runs may be busy: icb db list",
            [
                Remedy(said="Start a worker:", command="icb up"),
                Remedy(said="One that runs may be busy:", command="icb db list"),
            ],
        ),
        ("icb db prune --dry-run tells the rule for each.", [Remedy(said="icb db prune --dry-run tells the rule for each.")]),
        (
            "GRANT SELECT ON a TO b;\nGRANT SELECT ON c TO b;",
            [Remedy(command="GRANT SELECT ON a TO b;"), Remedy(command="GRANT SELECT ON c TO b;")],
        ),
        (
            'Keep it: icb db pin x.dump --reason "before the loss"',
            [Remedy(said="Keep it:", command='icb db pin x.dump --reason "before the loss"')],
        ),
        ("Make room, or name another folder.", [Remedy(said="Make room, or name another folder.")]),
        ("", []),
    ],
)
def test_a_hint_is_what_to_read_and_what_to_copy(hint: str, found: list[Remedy]) -> None:
    assert remedies(hint) == found
