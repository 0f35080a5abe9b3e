"""Which migrations remove or alter what is there, and why: pure judgement on a plan of Django's, nothing is asked or changed.

What only adds is harmless: tables, columns, indexes, constraints; so is whatever happens to tables and columns that the same plan
has made. What is not known here counts as destructive.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.contrib.postgres import operations as postgres
from django.db import migrations
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Field

Step = tuple[migrations.Migration, bool]  # a migration, and whether it is undone
# Whether the router lets a migration touch a model (or, with None, run SQL and Python) of an app in the database.
Allowed = Callable[..., bool]  # app, model or None, and the hints of an operation

# No value of any row changes, forwards or backwards.
_HARMLESS = (
    *(migrations.AddIndex, migrations.RemoveIndex, migrations.RenameIndex, migrations.AddConstraint),
    *(migrations.RemoveConstraint, migrations.AlterConstraint, migrations.AlterUniqueTogether, migrations.AlterIndexTogether),
    *(migrations.AlterModelOptions, migrations.AlterModelManagers, migrations.AlterModelTableComment),
    *(postgres.ValidateConstraint, postgres.CreateCollation, postgres.RemoveCollation),
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A migration of a plan ("app.name"), and in words what it removes or alters; nothing where it only adds."""

    name: str
    reasons: tuple[str, ...] = ()


def judged(plan: Sequence[Step], *, state: ProjectState, allowed: Allowed = lambda _app, _model, **_hints: True) -> list[Judged]:
    """What each migration of a plan does to a database whose models are `state` before the first. `state` is used up."""
    seen = _Seen(state=state, allowed=allowed)
    return [Judged(name=f"{step[0].app_label}.{step[0].name}", reasons=tuple(_reasons(step, seen))) for step in plan]


@dataclass(kw_only=True)
class _Seen:
    """The models as they are when an operation comes, and what the plan has made until then."""

    state: ProjectState
    allowed: Allowed
    made: set[tuple[str, ...]] = field(default_factory=set)  # app, model; or app, model, field

    def model(self, app: str, name: str) -> ModelState | None:
        return self.state.models.get((app, name.lower()))

    def is_new(self, app: str, model: str, name: str = "") -> bool:
        return (app, model.lower()) in self.made or (app, model.lower(), name) in self.made

    def is_managed(self, app: str, model: str) -> bool:
        """Whether a migration of the model touches a table in this database."""
        found = self.model(app, model)
        options = found.options if found else {}
        return options.get("managed", True) and not options.get("proxy", False) and self.allowed(app, model.lower())


def _reasons(step: Step, seen: _Seen) -> list[str]:
    migration, backwards = step
    found = []
    for operation in reversed(migration.operations) if backwards else migration.operations:
        found += _of_operation(operation, migration.app_label, seen, backwards=backwards)
        if not backwards:
            _remember(operation, migration.app_label, seen)
            operation.state_forwards(migration.app_label, seen.state)
    return found


def _of_operation(operation: Operation, app: str, seen: _Seen, *, backwards: bool) -> list[str]:
    if not _is_known(operation, backwards=backwards):
        return [f"does what is not known here: {type(operation).__name__}"]
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        parts = operation.database_operations
        return [why for part in parts for why in _of_operation(part, app, seen, backwards=backwards)]
    why = _undoing(operation, app, seen) if backwards else _doing(operation, app, seen)
    return [why] if why else []


def _is_known(operation: Operation, *, backwards: bool) -> bool:
    """Whether what it does to the database is Django's own doing."""
    does = type(operation).database_backwards if backwards else type(operation).database_forwards
    return str(does.__module__).startswith("django.")


def _doing(operation: Operation, app: str, seen: _Seen) -> str:
    match operation:
        case migrations.RunSQL() | migrations.RunPython():
            return _running(operation, app, seen, backwards=False)
        case migrations.CreateModel() | migrations.AddField() | postgres.CreateExtension():
            return ""
        case migrations.DeleteModel(name=model) | migrations.AlterModelTable(name=model) | migrations.RenameModel(old_name=model):
            return _of_table(operation, app, model, seen)
        case migrations.RemoveField(model_name=model, name=name):
            return _of_column("removes", app, model, name, seen)
        case migrations.RenameField(model_name=model, old_name=name):
            return _of_column("renames", app, model, name, seen)
        case migrations.AlterField(model_name=model, name=name):
            is_altered = _is_altered(seen.model(app, model), name, operation.field)
            return _of_column("alters", app, model, name, seen) if is_altered else ""
        case migrations.AlterOrderWithRespectTo(name=model):
            return "" if operation.order_with_respect_to else _of_column("removes", app, model, "_order", seen)
    return "" if isinstance(operation, _HARMLESS) else f"does what is not known here: {type(operation).__name__}"


def _undoing(operation: Operation, app: str, seen: _Seen) -> str:
    """What a migration made is removed when it is undone; the models are those of before or after, as far as they are known."""
    match operation:
        case migrations.RunSQL() | migrations.RunPython():
            return _running(operation, app, seen, backwards=True)
        case migrations.RemoveField() | migrations.DeleteModel():
            return ""
        case migrations.CreateModel(name=model):
            return f"removes the table of {app}.{model}" if seen.is_managed(app, model) else ""
        case migrations.AlterModelTable(name=model) | migrations.RenameModel(new_name=model):
            return f"renames the table of {app}.{model}" if seen.is_managed(app, model) else ""
        case migrations.AddField(model_name=model, name=name):
            return _of_column("removes", app, model, name, seen)
        case migrations.RenameField(model_name=model, new_name=name):
            return _of_column("renames", app, model, name, seen)
        case migrations.AlterField(model_name=model, name=name):
            return _of_column("alters", app, model, name, seen)
        case migrations.AlterOrderWithRespectTo(name=model):
            return _of_column("alters", app, model, "_order", seen)
    return "" if isinstance(operation, _HARMLESS) else f"undoes what is not known here: {type(operation).__name__}"


def _of_table(operation: Operation, app: str, model: str, seen: _Seen) -> str:
    if seen.is_new(app, model) or not seen.is_managed(app, model):
        return ""
    verb = "removes" if isinstance(operation, migrations.DeleteModel) else "renames"
    return f"{verb} the table of {app}.{model}"


def _of_column(verb: str, app: str, model: str, name: str, seen: _Seen) -> str:
    if seen.is_new(app, model, name) or not seen.is_managed(app, model):
        return ""
    return f"{verb} the column {name} of {app}.{model}"


def _running(operation: migrations.RunSQL | migrations.RunPython, app: str, seen: _Seen, *, backwards: bool) -> str:
    """SQL and Python may do anything, unless they are the ones that do nothing."""
    if not seen.allowed(app, None, **operation.hints):
        return ""
    if isinstance(operation, migrations.RunSQL):
        sql = operation.reverse_sql if backwards else operation.sql
        return "runs SQL" if sql is None or bool(sql) else ""
    code = operation.reverse_code if backwards else operation.code
    name = getattr(code, "__name__", "a function")
    return "" if code is migrations.RunPython.noop else f"runs Python: {name}"


def _is_altered(model: ModelState | None, name: str, new: "Field[object, object]") -> bool:
    """Whether the column changes, as Django asks it: not where only choices, labels and the like do.

    https://docs.djangoproject.com/en/5.2/howto/custom-model-fields/#field-attributes-not-affecting-database-column-definition
    """
    old = model.fields.get(name) if model else None
    if old is None:
        return True
    return _definition(old) != _definition(new)


def _definition(field_: "Field[object, object]") -> tuple[object, ...]:
    _name, path, args, given = field_.deconstruct()
    ignored = {*field_.non_db_attrs} - {"db_column"}
    return path, list(args), {key: value for key, value in given.items() if key not in ignored}


def _remember(operation: Operation, app: str, seen: _Seen) -> None:
    """What the plan makes is known to be empty when the next operation comes."""
    match operation:
        case migrations.CreateModel(name=model):
            seen.made.add((app, model.lower()))
        case migrations.RenameModel(old_name=old, new_name=new) if seen.is_new(app, old):
            seen.made.add((app, new.lower()))
        case migrations.AddField(model_name=model, name=name):
            seen.made.add((app, model.lower(), name))
        case migrations.RenameField(model_name=model, old_name=old, new_name=new) if seen.is_new(app, model, old):
            seen.made.add((app, model.lower(), new))
