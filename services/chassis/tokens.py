"""Signed tokens (EdDSA) for four purposes, checked offline against the keys that this instance trusts, each for named scopes.

Purposes, which are the scopes of trust: "users" (a logged-in user), "kyc" (an attestation of who a member is),
"invitation" (the nation's word that makes a State Admin), "aggregates" (the nation's gateway may ask for sums).
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from services.chassis import settings
from services.kernel.caller import Caller, Role, Session
from services.kernel.errors import Unauthenticated

ALGORITHM = "EdDSA"
ACCESS_LIFE = timedelta(minutes=10)
CLOCK_SKEW_SECONDS = 30
_REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class _Key:
    issuer: str
    public_key: Any
    scopes: frozenset[str]


@cache
def _trusted(path: Path) -> Mapping[str, _Key]:
    keys = json.loads(path.read_text(encoding="utf-8"))
    return {key["key_id"]: _Key(key["issuer"], load_pem_public_key(key["public_key"].encode()), frozenset(key["scopes"])) for key in keys}


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
        key = _trusted(settings.file("LOKOS_TRUST_FILE")).get(jwt.get_unverified_header(token).get("kid", ""))
        if key is None:
            raise Unauthenticated("TOKEN_FOREIGN", "This token was not made for this state.")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public_key,
            algorithms=[ALGORITHM],
            audience=settings.instance(),
            issuer=key.issuer,
            leeway=CLOCK_SKEW_SECONDS if purpose != "users" else 0,
            options={"require": ["exp", "iss", "aud", "jti"]},
        )
    except jwt.ExpiredSignatureError:
        raise Unauthenticated("TOKEN_EXPIRED", "This token has expired; log in again.") from None
    except (jwt.InvalidAudienceError, jwt.InvalidIssuerError):
        raise Unauthenticated("TOKEN_FOREIGN", "This token was not made for this state.") from None
    except (jwt.InvalidTokenError, ValueError):
        raise Unauthenticated("TOKEN_INVALID", "This token is not genuine.") from None
    if claims.get("purpose") != purpose or purpose not in key.scopes:
        raise Unauthenticated("TOKEN_PURPOSE", "This token was made for another purpose.")
    return claims


def sign_caller(caller: Caller, ends_at: datetime) -> tuple[str, datetime]:
    """An access token of a user at work in one role, and when it ends: soon, and with her session at the latest."""
    return sign(
        "users",
        settings.instance(),
        min(ACCESS_LIFE, ends_at - datetime.now(UTC)),
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


_remembered: dict[str, tuple[float, Caller]] = {}


def caller_of(token: str, scope: str) -> Caller:
    """Who holds this token: a user, or where `scope` is not empty a program let in by that scope.

    A token that was genuine a moment ago is still so until it ends; checking a signature costs more than the rest of a call.
    """
    purpose = scope or "users"
    now = datetime.now(UTC).timestamp()
    remembered = _remembered.get(purpose + token)
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
    if len(_remembered) >= _REMEMBERED_MAX:
        _remembered.clear()
    _remembered[purpose + token] = (float(claims["exp"]), caller)
    return caller
