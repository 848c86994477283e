"""Signed tokens (EdDSA) for five purposes, checked offline against the keys that this instance trusts, each for named scopes.

Purposes, which are the scopes of trust: "users" (a logged-in user), "kyc" (an attestation of who a member is),
"invitation" (the nation's word that makes a State Admin), "aggregates" (the nation's gateway may ask for sums),
"sessions" (and which of the nation's own sessions ended).

The keys stand in a JSON Web Key Set (RFC 7517) whose keys also say who signs with them ("issuer") and for which "scopes"
that is trusted. It may be replaced at any time.
"""

import json
import logging
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.chassis import metrics, settings
from services.kernel.caller import Caller, Role, Session
from services.kernel.errors import Unauthenticated

log = logging.getLogger(__name__)

ALGORITHM = "EdDSA"
ACCESS_LIFE = timedelta(minutes=10)
CLOCK_SKEW_SECONDS = 30
LOOK_SECONDS = 1.0
_REMEMBERED_MAX = 10_000


# What anybody may see of a key.
_PUBLIC = ("kty", "crv", "x", "kid", "use", "alg")
# Whatever may be wrong with the file.
_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, jwt.PyJWTError)


@dataclass(frozen=True, slots=True)
class _Key:
    issuer: str
    scopes: frozenset[str]
    checks: jwt.PyJWK
    public: Mapping[str, str]


def _key(entry: Mapping[str, Any]) -> _Key:
    checks = jwt.PyJWK(dict(entry))
    if checks.algorithm_name != ALGORITHM:
        raise jwt.InvalidKeyError
    metrics.CLOCK_SKEW.labels(entry["issuer"])
    return _Key(entry["issuer"], frozenset(entry["scopes"]), checks, {name: entry[name] for name in _PUBLIC})


@dataclass(frozen=True, slots=True)
class _Trust:
    """The file as it was read once, and who was shown by these keys to hold which token, until when."""

    keys: Mapping[str, _Key]
    callers: dict[str, tuple[float, Caller]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "_Trust":
        entries = json.loads(path.read_text(encoding="utf-8"))["keys"]
        return cls({entry["kid"]: _key(entry) for entry in entries})


class _TrustFile:
    """The keys trusted now. The file is looked at once a second at most, and besides for a key that is not known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._mark = self._marked()
        self._looked_at = time.monotonic()
        try:
            self._trust = _Trust.read(path)
        except _UNREADABLE as error:
            raise SystemExit(f"The setting LOKOS_TRUST_FILE names {path}, which holds no keys that can be read ({type(error).__name__}).") from None

    def trust(self) -> _Trust:
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self._look()
        return self._trust

    def key(self, key_id: str) -> _Key | None:
        if key_id not in self.trust().keys:
            self._look()
        return self._trust.keys.get(key_id)

    def _look(self) -> None:
        """Take in what has changed. A file that cannot be read is told of once, and leaves the keys as they are."""
        with self._lock:
            self._looked_at = time.monotonic()
            mark = self._marked()
            if mark == self._mark:
                return
            self._mark = mark
            try:
                self._trust = _Trust.read(self._path)
            except _UNREADABLE as error:
                log.error("the trust file cannot be read; the keys of before stay in use", extra={"error": type(error).__name__})  # noqa: TRY400 - its text may quote the file
            else:
                log.info("the trust file has changed", extra={"keys": " ".join(sorted(self._trust.keys))})

    def _marked(self) -> tuple[int, ...]:
        """Other whenever the file was written or replaced, also by way of a link."""
        try:
            stat = self._path.stat()
        except OSError:
            return ()
        return (stat.st_ino, stat.st_mtime_ns, stat.st_size)


@cache
def _file(path: str) -> _TrustFile:
    return _TrustFile(Path(path))


def _trust_file() -> _TrustFile:
    return _file(settings.text("LOKOS_TRUST_FILE"))


def must_have_trust() -> None:
    """End the process by name where the trust file cannot be read."""
    _trust_file()


def own_keys() -> str:
    """The keys that the tokens of this instance's users are checked by, as a JSON Web Key Set."""
    own = [key.public for key in _trust_file().trust().keys.values() if key.issuer == settings.instance() and "users" in key.scopes]
    return json.dumps({"keys": own})


@cache
def _signing_key(path: Path) -> Any:  # noqa: ANN401 - a private key of cryptography
    return load_pem_private_key(path.read_bytes(), password=None)


def sign(
    purpose: str,
    audience: str,
    life: timedelta,
    claims: Mapping[str, Any],
    *,
    key_file: Path | None = None,
    key_id: str | None = None,
) -> tuple[str, datetime]:
    """A token for one instance and one purpose, and when it ends. Signed with the instance's own key unless another is given."""
    now = datetime.now(UTC)
    ends = now + life
    token = jwt.encode(
        {**claims, "iss": settings.instance(), "aud": audience, "iat": now, "exp": ends, "purpose": purpose, "jti": str(uuid4())},
        _signing_key(key_file or settings.file("LOKOS_SIGNING_KEY_FILE")),
        algorithm=ALGORITHM,
        headers={"kid": key_id or settings.text("LOKOS_SIGNING_KEY_ID")},
    )
    return token, ends


def verify(token: str, purpose: str) -> Mapping[str, Any]:
    """The claims of a token made for this instance and this purpose by a key trusted for it; else a refusal."""
    try:
        key = _trust_file().key(jwt.get_unverified_header(token).get("kid", ""))
        if key is None:
            raise Unauthenticated("TOKEN_FOREIGN", "This token was not made for this state.")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.checks,
            algorithms=[ALGORITHM],
            audience=settings.instance(),
            issuer=key.issuer,
            leeway=CLOCK_SKEW_SECONDS if purpose != "users" else 0,
            options={"require": ["exp", "iat", "iss", "aud", "jti"], "verify_iat": False},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("TOKEN_EXPIRED", "This token has expired; log in again.") from None
    except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
        raise Unauthenticated("TOKEN_FOREIGN", "This token was not made for this state.") from None
    except (jwt.InvalidTokenError, ValueError):
        raise Unauthenticated("TOKEN_INVALID", "This token is not genuine.") from None
    if claims.get("purpose") != purpose or purpose not in key.scopes:
        raise Unauthenticated("TOKEN_PURPOSE", "This token was made for another purpose.")
    if claims["iat"] > time.time() + CLOCK_SKEW_SECONDS:
        metrics.CLOCK_SKEW.labels(key.issuer).inc()
        raise Unauthenticated(
            "CLOCK_SKEW",
            "The clocks of the two machines differ by more than {seconds} seconds; set them right.",
            seconds=CLOCK_SKEW_SECONDS,
        )
    return claims


def sign_caller(caller: Caller, ends_at: datetime | None = None) -> tuple[str, datetime]:
    """An access token of a user at work in one role, and when it ends: soon, and with her session at the latest."""
    return sign(
        "users",
        settings.instance(),
        min(ACCESS_LIFE, ends_at - datetime.now(UTC)) if ends_at else ACCESS_LIFE,
        {
            "sub": caller.user_id,
            "role": caller.role,
            "region": caller.region,
            # Packed: a token travels with every call, and headers have a limit.
            "institutions": urlsafe_b64encode(b"".join(sorted(one.bytes for one in caller.institutions))).decode(),
            "clusters": caller.clusters,
            "person": caller.person,
            "persons": sorted(caller.persons),
            **({"session": str(caller.session.session_id), "generation": caller.session.generation} if caller.session else {}),
        },
    )


def _unpacked(institutions: str) -> frozenset[UUID]:
    packed = urlsafe_b64decode(institutions)
    return frozenset(UUID(bytes=packed[start : start + 16]) for start in range(0, len(packed), 16))


def caller_of(token: str, scope: str) -> Caller:
    """Who holds this token: a user, or where `scope` is not empty a program let in by that scope.

    A token that was genuine a moment ago is still so until it ends; checking a signature costs more than the rest of a call.
    """
    purpose = scope or "users"
    now = datetime.now(UTC).timestamp()
    # Of this very reading of the file: what other keys show is remembered apart.
    callers = _trust_file().trust().callers
    remembered = callers.get(purpose + token)
    if remembered and remembered[0] > now:
        return remembered[1]
    claims = verify(token, purpose)
    if scope:
        caller = Caller(user_id=str(claims["iss"]), scopes=frozenset({scope}))
    else:
        caller = Caller(
            user_id=claims["sub"],
            role=Role(claims["role"]),
            region=claims["region"],
            institutions=_unpacked(claims["institutions"]),
            person=claims["person"],
            clusters=tuple(claims["clusters"]),
            persons=frozenset(claims["persons"]),
            session=Session(UUID(claims["session"]), claims["generation"]) if "session" in claims else None,
        )
    if len(callers) >= _REMEMBERED_MAX:
        callers.clear()
    callers[purpose + token] = (float(claims["exp"]), caller)
    return caller
