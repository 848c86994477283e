"""Online e-KYC 2.5 in values: transactions, times, and what UIDAI's error codes mean to a bookkeeper.

The codes are those of UIDAI's Auth 2.5, Otp 2.5 and e-KYC 2.5. One that is not here is one that our own request should never meet.
"""

import re
from base64 import b64encode
from datetime import datetime, timedelta
from hashlib import sha256

from services.kernel.errors import Conflict, Exhausted, Invalid, Refused, Unavailable
from services.kernel.month import IST

VERSION = "2.5"
TXN_PREFIX = "UKC:"  # Of transactions that end in an e-KYC.
CLOCKS_APART_MAX = timedelta(minutes=20)
# After how long it may be asked again.
AWAY_SECONDS, FLOOD_SECONDS = 30, 600

# Of the request itself: her one-time password (ra), her consent (rc), no local language, sealed for us and not for the ASA, no PDF.
KYC = {"ver": VERSION, "ra": "O", "rc": "Y", "lr": "N", "de": "N", "pfr": "N"}

_OTP = re.compile(r"[0-9]{6}")
_CODE = re.compile(r"(?:K-)?[0-9]{3}")

_MEANT: tuple[tuple[type[Refused], str, str, str, str], ...] = (
    (Conflict, "KYC_OTP_WRONG", "The one-time password is wrong.", "otp", "400"),
    # Of another transaction, tried too often, too old, or used already.
    (Conflict, "KYC_EXPIRED", "This verification is over; start it again.", "kyc_id", "402 403 563"),
    (Invalid, "AADHAAR_INVALID", "UIDAI knows no such Aadhaar number; a digit may be wrong.", "aadhaar_number", "998 K-998"),
    (
        Conflict,
        "EKYC_NO_MOBILE",
        "UIDAI has no mobile number of hers for a one-time password; verify her by her QR or her offline e-KYC, or enter her details by hand.",
        "aadhaar_number",
        "110 111 112 113 114 115",
    ),
    (
        Conflict,
        "EKYC_LOCKED",
        "She has locked her Aadhaar, or does not allow this; she may unlock it with UIDAI, or show other papers.",
        "aadhaar_number",
        "330 331 332 K-545",
    ),
    (
        Conflict,
        "EKYC_SUSPENDED",
        "UIDAI has suspended or cancelled this Aadhaar number; she should ask UIDAI, and may show other papers.",
        "aadhaar_number",
        "992 994 995 996 997",
    ),
    (
        Exhausted,
        "EKYC_TOO_MANY_OTPS",
        "Too many one-time passwords were asked for her; try again in some minutes.",
        "aadhaar_number",
        "952 953",
    ),
)
# Of UIDAI itself, which may be well again later.
_AWAY = "930 931 932 933 934 935 936 937 938 939 950 951 999 K-200 K-571 K-955 K-956 K-999"
_BY_CODE = {code: row[:4] for row in _MEANT for code in row[4].split()}


def check_otp(otp: str) -> str:
    """The one-time password as UIDAI makes them; another cannot be right, and nobody is asked."""
    if not _OTP.fullmatch(otp):
        raise meant_by("400")
    return otp


def clean_code(code: str) -> str:
    """An error code as UIDAI writes them, or a question mark: what else came is not to be repeated."""
    said = code.strip().upper()
    return said if _CODE.fullmatch(said) else "?"


def meant_by(code: str, of_authentication: str = "") -> Refused:
    """What an error code of UIDAI's is to whoever asked. K-100 alone says only that one of the authentication stands behind it."""
    said = clean_code(code)
    if said == "K-100":
        said = clean_code(of_authentication) if of_authentication else "400"
    if said in _BY_CODE:
        kind, refusal, sentence, field = _BY_CODE[said]
        return kind(refusal, sentence, field=field, **{"seconds": FLOOD_SECONDS} if kind is Exhausted else {})
    return away() if said in _AWAY.split() else refused_by(said)


def refused_by(code: str) -> Refused:
    """UIDAI or the ASA takes no request of ours: licence, certificates, clock. Nothing that the bookkeeper could try again."""
    return Conflict(
        "EKYC_REFUSED", "UIDAI does not take e-KYC requests of this state now ({code}); tell the State Admin, and enrol her without it.", code=code
    )


def away(seconds: int = AWAY_SECONDS) -> Refused:
    return Unavailable("EKYC_AWAY", "The e-KYC provider does not answer; try again later.", seconds=seconds)


def unbelievable() -> Refused:
    sentence = "What came back is no answer of UIDAI's to this; start again later, or enrol her without it."
    return Unavailable("EKYC_ANSWER_INVALID", sentence, seconds=AWAY_SECONDS)


def wadh() -> str:
    """What binds a PID to this kind of e-KYC: the SHA-256 of its options."""
    return b64encode(sha256("".join(KYC.values()).encode()).digest()).decode()


def stamp(now: datetime) -> str:
    """A moment as requests write it: 19 characters, in India, of no zone."""
    return now.astimezone(IST).strftime("%Y-%m-%dT%H:%M:%S")


def is_of_now(ts: str, now: datetime) -> bool:
    """Whether an answer's own time is about now."""
    try:
        said = datetime.fromisoformat(ts)
    except ValueError:
        return False
    return abs(moment(said) - now) <= CLOCKS_APART_MAX


def moment(said: datetime) -> datetime:
    return said if said.tzinfo else said.replace(tzinfo=IST)


def is_of(uid: str, number: str) -> bool:
    """Whether the number that an answer names is hers. It may show the last four digits alone, or (limited e-KYC) nothing."""
    if not uid:
        return True
    return uid == number if uid.isdecimal() else uid[-4:] == number[-4:] and not set(uid[:-4]) - set("xX* ")
