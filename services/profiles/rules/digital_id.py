"""Digital ids: the code of a record, as it is printed, scanned and typed. It says which record it is, and nothing of whose."""

from services.kernel import codes
from services.kernel.errors import Conflict, Invalid

PREFIX = "LOKOS:"  # So that a phone knows what it has scanned; in capitals the QR stays small.
TYPED_LENGTH_MAX = 40
NONE, UNCHECKED = "NONE", "UNCHECKED"  # Of a bank account, besides what the bank says.


def qr_text(code: str) -> str:
    return PREFIX + code


def printed(code: str) -> str:
    """In groups, for people: M09 000 000 001 2."""
    return " ".join((code[:3], code[3:6], code[6:9], code[9:12], code[12:]))


def read(scanned: str, state_lgd: int) -> str:
    """The code in what was scanned or typed; a refusal where a digit is wrong, or where it is another state's."""
    code = "".join(scanned[:TYPED_LENGTH_MAX].upper().split()).replace("-", "").removeprefix(PREFIX)
    codes.check_code(code, "scanned")
    if code[1:3] != f"{state_lgd:02}":
        raise Invalid("DIGITAL_ID_ELSEWHERE", "This id was issued by another state; ask there.", field="scanned")
    return code


def not_yet() -> Conflict:
    return Conflict("DIGITAL_ID_NOT_YET", "An id is issued when the record is approved, and this one never was.", field="record_id")
