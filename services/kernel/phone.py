"""Mobile numbers of India: ten digits, the first 6 to 9."""

from services.kernel.errors import Invalid


def check_mobile(text: str, field: str, *, needed: bool = True) -> str:
    """The ten digits, spaces and +91 taken off; empty where it may be and is."""
    digits = "".join(text.split()).removeprefix("+91")
    if not digits and not needed:
        return ""
    if len(digits) != 10 or not (digits.isascii() and digits.isdecimal()) or digits[0] not in "6789":
        raise Invalid("MOBILE_INVALID", "A mobile number has ten digits and begins with 6, 7, 8 or 9.", field=field)
    return digits
