"""The description of the API in docs/openapi.yaml: `python -m ichrisbirch_site.openapi` writes it, `--check` compares it."""

import os
import sys
from pathlib import Path

from ichrisbirch_site import embedded

FILE = embedded.PROJECT / "docs" / "openapi.yaml"


def made() -> str:
    """As it is now. Raises AssertionError where an operation can't be described."""
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiYamlRenderer
    from drf_spectacular.settings import patched_settings
    from drf_spectacular.validation import validate_schema

    from backups.api.schema import SETTINGS

    with patched_settings(SETTINGS):
        schema = SchemaGenerator().get_schema(request=None, public=True)
        validate_schema(schema)
    assert not GENERATOR_STATS, "What is wrong with it is told above."
    text: bytes = OpenApiYamlRenderer().render(schema, renderer_context={})
    return text.decode()


def main(words: list[str]) -> int:
    """Returns an exit code."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ichrisbirch_site.settings")
    django.setup()
    if words not in ([], ["--check"]):
        sys.stderr.write("usage: python -m ichrisbirch_site.openapi [--check]\n")
        return 2
    text = made()
    if not words:
        FILE.write_text(text)
        return 0
    if FILE.read_text() == text:
        return 0
    name = Path(FILE).relative_to(embedded.PROJECT)
    sys.stderr.write(f"{name} is not what the API is now. Write it anew: .venv/bin/python -m ichrisbirch_site.openapi\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
