"""Codes with a check digit: a letter, the state's LGD code, a serial, a Verhoeff digit (decision 9)."""

from services.kernel.errors import Invalid

SERIAL_DIGITS = 9
SERIAL_MAX = 10**SERIAL_DIGITS - 1
CODE_LENGTH = 1 + 2 + SERIAL_DIGITS + 1
LETTERS = {"MEMBER": "M", "SHG": "S", "VO": "V", "CLF": "C"}


def _product(a: int, b: int) -> int:
    """In the dihedral group of order 10: 0 to 4 are its rotations, 5 to 9 its reflections."""
    if a < 5:
        return (a + b) % 5 if b < 5 else (a + b) % 5 + 5
    return (a - b) % 5 + 5 if b < 5 else (a - b) % 5


def _permutations() -> list[list[int]]:
    """Verhoeff's permutation applied 0 to 7 times."""
    once = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    powers = [list(range(10))]
    for _ in range(7):
        powers.append([powers[-1][digit] for digit in once])
    return powers


_PERMUTED = _permutations()


def _checksum(digits: str, start: int) -> int:
    check = 0
    for place, digit in enumerate(reversed(digits), start):
        check = _product(check, _PERMUTED[place % 8][int(digit)])
    return check


def check_digit(digits: str) -> str:
    """The digit that makes `digits` pass `is_checked`; it finds every single wrong digit and every swapped pair."""
    check = _checksum(digits, 1)
    return next(str(digit) for digit in range(10) if _product(check, digit) == 0)


def is_checked(digits: str) -> bool:
    """Whether the last digit is the check digit of those before it."""
    return digits.isascii() and digits.isdecimal() and _checksum(digits, 0) == 0


def issue(letter: str, state_lgd: int, serial: int) -> str:
    """The public code of the `serial`-th thing of its kind in a state: "M09" + nine digits + check digit."""
    if not 0 < serial <= SERIAL_MAX:
        raise ValueError(serial)
    digits = f"{state_lgd:02}{serial:0{SERIAL_DIGITS}}"
    return letter + digits + check_digit(digits)


def check_code(code: str, field: str) -> str:
    """The code itself, or a refusal where a digit is wrong."""
    if len(code) != CODE_LENGTH or code[0] not in LETTERS.values() or not is_checked(code[1:]):
        raise Invalid("CODE_INVALID", "{code} is not a code; a digit may be wrong.", field=field, code=code[:20])
    return code
