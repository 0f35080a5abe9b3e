"""What an operation removes or alters is said in words; what only adds is silent; what nobody knows is not trusted."""

import pytest
from django.contrib.postgres import operations as postgres
from django.db import migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from backups.destructive import Judged, judged


def forget(apps: object, schema_editor: object) -> None:
    """What a data migration may be."""


class Bespoke(Operation):
    """Of a project's own."""

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Does not say what it does."""


class BespokeAddField(migrations.AddField):
    def database_forwards(self, *args: object) -> None:
        """May do anything."""


def name(**changes: object) -> models.Field:
    return models.CharField(**{"max_length": 50, **changes})


def state() -> ProjectState:
    """shop.Product and shop.Tag, a model without a table of ours, and another's view."""
    made = ProjectState()
    fields = [("id", models.BigAutoField(primary_key=True)), ("name", name()), ("price", models.IntegerField(null=True))]
    made.add_model(ModelState("shop", "Product", fields))
    made.add_model(ModelState("shop", "Tag", [("id", models.BigAutoField(primary_key=True)), ("name", name())]))
    made.add_model(ModelState("shop", "View", [("id", models.BigAutoField(primary_key=True))], {"managed": False}))
    return made


def plan(*operations: Operation, backwards: bool = False) -> list[tuple[migrations.Migration, bool]]:
    migration = migrations.Migration("0002_change", "shop")
    migration.operations = list(operations)
    return [(migration, backwards)]


def reasons(*operations: Operation, backwards: bool = False, **options: object) -> tuple[str, ...]:
    (found,) = judged(plan(*operations, backwards=backwards), state=state(), **options)  # type: ignore[arg-type]
    assert found.name == "shop.0002_change"
    return found.reasons


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.RemoveField("Product", "price"), "removes the column price of shop.Product"),
        (migrations.DeleteModel("Product"), "removes the table of shop.Product"),
        (migrations.AlterField("Product", "name", name(max_length=20)), "alters the column name of shop.Product"),
        (migrations.AlterField("Product", "name", name(db_column="n")), "alters the column name of shop.Product"),
        (migrations.AlterField("Product", "name", models.TextField()), "alters the column name of shop.Product"),
        (migrations.RenameField("Product", "price", "cost"), "renames the column price of shop.Product"),
        (migrations.RenameModel("Product", "Article"), "renames the table of shop.Product"),
        (migrations.AlterModelTable("Product", "article"), "renames the table of shop.Product"),
        (migrations.AlterOrderWithRespectTo("Product", None), "removes the column _order of shop.Product"),
        (migrations.RunSQL("UPDATE shop_product SET price = 0"), "runs SQL"),
        (migrations.RunPython(forget), "runs Python: forget"),
        (
            migrations.SeparateDatabaseAndState(database_operations=[migrations.RemoveField("Product", "price")]),
            "removes the column price of shop.Product",
        ),
    ],
)
def test_what_removes_or_alters_is_told_by_what_it_does_to_what(operation: Operation, why: str) -> None:
    assert reasons(operation) == (why,)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.CreateModel("Basket", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddField("Product", "note", models.TextField(default="")),
        migrations.AlterField("Product", "name", name(help_text="What it says on the tin.", choices=[("tea", "Tea")])),
        migrations.AddIndex("Product", models.Index(fields=["name"], name="product_name")),
        postgres.AddIndexConcurrently("Product", models.Index(fields=["name"], name="product_name")),
        postgres.TrigramExtension(),
        migrations.AddConstraint("Product", models.UniqueConstraint(fields=["name"], name="one_name")),
        migrations.AlterUniqueTogether("Product", {("name", "price")}),
        migrations.AlterModelOptions("Product", {"verbose_name": "article"}),
        migrations.RunSQL(migrations.RunSQL.noop),
        migrations.RunPython(migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(state_operations=[migrations.DeleteModel("Product")]),
        migrations.DeleteModel("View"),
    ],
)
def test_what_only_adds_or_touches_no_row_is_silent(operation: Operation) -> None:
    assert reasons(operation) == ()


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (migrations.CreateModel("Tag", []), "removes the table of shop.Tag"),
        (migrations.AddField("Product", "price", models.IntegerField()), "removes the column price of shop.Product"),
        (migrations.AlterField("Product", "name", name()), "alters the column name of shop.Product"),
        (migrations.RenameField("Product", "cost", "price"), "renames the column price of shop.Product"),
        (migrations.RenameModel("Article", "Product"), "renames the table of shop.Product"),
        (migrations.RunSQL(migrations.RunSQL.noop, "DROP TABLE x"), "runs SQL"),
        (migrations.RunPython(migrations.RunPython.noop, forget), "runs Python: forget"),
        (postgres.TrigramExtension(), "undoes what is not known here: TrigramExtension"),
    ],
)
def test_undoing_what_adds_removes(operation: Operation, why: str) -> None:
    assert reasons(operation, backwards=True) == (why,)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.RemoveField("Product", "old"),
        migrations.DeleteModel("Old"),
        migrations.CreateModel("View", []),
        migrations.AddIndex("Product", models.Index(fields=["name"], name="product_name")),
        migrations.RunSQL("UPDATE shop_product SET price = 0", migrations.RunSQL.noop),
        migrations.RunPython(forget, migrations.RunPython.noop),
    ],
)
def test_undoing_what_removes_only_adds(operation: Operation) -> None:
    assert reasons(operation, backwards=True) == ()


@pytest.mark.parametrize("operation", [Bespoke(), BespokeAddField("Product", "note", models.TextField())])
def test_an_operation_that_nobody_knows_is_not_trusted(operation: Operation) -> None:
    assert reasons(operation) == (f"does what is not known here: {type(operation).__name__}",)


def test_what_the_same_plan_has_made_holds_nothing_to_lose() -> None:
    made = migrations.CreateModel("Basket", [("id", models.BigAutoField(primary_key=True)), ("size", models.IntegerField())])
    later = [migrations.RemoveField("Basket", "size"), migrations.RenameModel("Basket", "Cart"), migrations.DeleteModel("Cart")]
    assert reasons(made, *later) == ()
    added = migrations.AddField("Product", "note", models.TextField(default=""))
    assert reasons(added, migrations.AlterField("Product", "note", name()), migrations.RemoveField("Product", "note")) == ()


def test_each_operation_is_judged_by_what_those_before_it_have_left() -> None:
    narrower = migrations.AlterField("Product", "name", name(max_length=20))
    labelled = migrations.AlterField("Product", "name", name(max_length=20, help_text="short"))
    assert reasons(narrower, labelled) == ("alters the column name of shop.Product",)


def test_what_the_router_keeps_out_of_a_database_happens_there_to_nobody() -> None:
    operations = [migrations.RemoveField("Product", "price"), migrations.RemoveField("Tag", "name"), migrations.RunSQL("x")]
    assert reasons(*operations, allowed=lambda app, model: model == "tag") == ("removes the column name of shop.Tag",)


def test_a_plan_is_told_migration_by_migration() -> None:
    both = [*plan(migrations.AddField("Product", "a", models.TextField(null=True))), *plan(migrations.DeleteModel("Tag"))]
    assert judged(both, state=state()) == [
        Judged(name="shop.0002_change"),
        Judged(name="shop.0002_change", reasons=("removes the table of shop.Tag",)),
    ]
