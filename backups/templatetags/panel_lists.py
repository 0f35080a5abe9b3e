"""What the panel's lists take from Django's change list: filters as links, dates, pages."""

from typing import Any

from django import template
from django.contrib.admin.templatetags.admin_list import date_hierarchy
from django.contrib.admin.views.main import PAGE_VAR

register = template.Library()


@register.filter
def facets(cl: Any) -> list[dict[str, Any]]:
    """Each filter with its choices, and the one that is chosen ("" for all)."""
    found = []
    for spec in cl.filter_specs:
        choices = list(spec.choices(cl))
        chosen = next((choice["display"] for choice in choices[1:] if choice["selected"]), "")
        found.append({"title": spec.title, "choices": choices, "chosen": chosen})
    return found


@register.simple_tag
def dates(cl: Any) -> Any:
    """The date hierarchy: where one can go from here. None where the list has none."""
    return date_hierarchy(cl) if cl.date_hierarchy else None


@register.simple_tag
def pages(cl: Any) -> dict[str, Any]:
    """Which rows are shown of how many, and the addresses of the pages beside."""
    size, number, total = cl.list_per_page, cl.page_num, cl.result_count
    return {
        "first": min(total, (number - 1) * size + 1),
        "last": min(total, number * size) if not cl.show_all else total,
        "total": total,
        "before": cl.get_query_string({PAGE_VAR: number - 1}) if number > 1 else "",
        "after": cl.get_query_string({PAGE_VAR: number + 1}) if number * size < total and not cl.show_all else "",
    }
