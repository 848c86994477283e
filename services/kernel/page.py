"""Pages of a list: how many rows, and a refusal for what is no page."""

from services.kernel.errors import Invalid

SIZE = 50
SIZE_MAX = 500


def page_size(asked: int) -> int:
    """How many rows a page has; 0 asks for the usual number."""
    if not 0 <= asked <= SIZE_MAX:
        raise Invalid("PAGE_INVALID", "A page has from 1 to {most} rows.", field="page.size", most=SIZE_MAX)
    return asked or SIZE


def page_unknown() -> Invalid:
    """The refusal of an `after` that no answer gave."""
    return Invalid("PAGE_INVALID", "Give the `next` of the answer before, or nothing.", field="page.after")
