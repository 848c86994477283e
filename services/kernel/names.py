"""Names of people and institutions: cleaned on the way in, and keyed so that spellings of one name meet."""

import unicodedata

from services.kernel.errors import Invalid

NAME_LENGTH_MAX = 100


def clean_name(text: str, field: str, *, longest: int = NAME_LENGTH_MAX, needed: bool = True) -> str:
    """The name in NFC with single spaces; refused where it is empty, too long, or holds what no name holds."""
    if len(text) > longest:
        raise Invalid("NAME_TOO_LONG", "A name has at most {longest} characters.", field=field, longest=longest)
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not name:
        if needed:
            raise Invalid("NAME_MISSING", "A name is needed.", field=field)
        return ""
    if any(unicodedata.category(letter) in {"Cc", "Co", "Cs", "Cn"} or letter in "<>{}=@|\\" for letter in name):
        raise Invalid("NAME_INVALID", "A name has letters only.", field=field)
    if not any(unicodedata.category(letter).startswith("L") for letter in name):
        raise Invalid("NAME_INVALID", "A name has letters only.", field=field)
    return name
