"""Money: integer paise, and how a screen writes rupees in lakh and crore. No float comes near it."""

from services.kernel.errors import Invalid

PAISE_PER_RUPEE = 100
AMOUNT_PAISE_MAX = 10**12  # ₹1,000 crore: more than any institution holds, so a slip of the pen is caught.


def check_amount(amount_paise: int, field: str, *, at_least: int = 0) -> int:
    """The amount itself, or a refusal where it is negative, absurdly large, or no integer."""
    if isinstance(amount_paise, bool) or not isinstance(amount_paise, int):
        raise Invalid("AMOUNT_FRACTIONAL", "An amount is a whole number of paise.", field=field)
    if amount_paise < at_least:
        if amount_paise < 0:
            raise Invalid("AMOUNT_NEGATIVE", "An amount cannot be negative.", field=field)
        raise Invalid("AMOUNT_MISSING", "The amount must be at least {least}.", field=field, least=rupees(at_least))
    if amount_paise > AMOUNT_PAISE_MAX:
        raise Invalid("AMOUNT_TOO_LARGE", "{amount} is more than any institution holds.", field=field, amount=rupees(amount_paise))
    return amount_paise


def parse_rupees(text: str, field: str) -> int:
    """Paise from rupees as people write them: "1,250" or "1250.50"."""
    plain = text.replace(",", "").replace("₹", "").strip()
    whole, dot, part = plain.partition(".")
    if not whole.lstrip("-").isdecimal() or not whole.isascii() or len(whole) > 15 or (dot and not (part.isdecimal() and part.isascii())):
        raise Invalid("AMOUNT_INVALID", "{text} is no amount in rupees.", field=field, text=text[:20])
    if whole.startswith("-"):
        raise Invalid("AMOUNT_NEGATIVE", "An amount cannot be negative.", field=field)
    if len(part) > 2:
        raise Invalid("AMOUNT_FRACTIONAL", "An amount is a whole number of paise.", field=field)
    return check_amount(int(whole) * PAISE_PER_RUPEE + int(part.ljust(2, "0")), field)


def grouped(number: int) -> str:
    """Digits grouped as India reads them: 1234567 is "12,34,567"."""
    digits = str(abs(number))
    head, tail = digits[:-3], digits[-3:]
    pairs = [head[max(end - 2, 0) : end] for end in range(len(head), 0, -2)][::-1]
    return ("-" if number < 0 else "") + ",".join([*pairs, tail])


def rupees(amount_paise: int) -> str:
    """₹12,34,567.50; the paise only where there are any."""
    whole, part = divmod(abs(amount_paise), PAISE_PER_RUPEE)
    return ("-" if amount_paise < 0 else "") + "₹" + grouped(whole) + (f".{part:02}" if part else "")


def in_words(number: int) -> str:
    """A large number as it is spoken: 1 crore, 12.35 lakh; cut, never rounded up, so that no figure is overstated."""
    for size, word in ((10**7, "crore"), (10**5, "lakh")):
        if abs(number) >= size:
            hundredths = abs(number) * 100 // size
            sign = "-" if number < 0 else ""
            return f"{sign}{grouped(hundredths // 100)}.{hundredths % 100:02} {word}"
    return grouped(number)
