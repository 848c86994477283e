"""Keys, certificates and secrets of the instances: made once, kept in the run folder, never replaced by a later run."""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from jwt.algorithms import OKPAlgorithm

from services.kernel.statefile import NATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from deploy.machine.layout import Instance

# Of a development machine: nobody renews them here. In production cert-manager does.
CERTIFICATE_YEARS = 10
SECRET_BYTES = 32


def write_private(file: Path, content: str | bytes) -> None:
    """Write a file that only its owner reads; it is never there half written, nor for a moment open to others."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
        stream.write(content if isinstance(content, bytes) else content.encode())
    draft.replace(file)


class Secrets:
    """Random words by name, kept in one file: the same name gives the same word for ever."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._words: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def known(self) -> tuple[str, ...]:
        """Every secret made so far."""
        return tuple(self._words.values())

    def peek(self, name: str) -> str:
        """Return the secret of this name; empty where it was never made."""
        return self._words.get(name, "")

    def forget(self, *beginnings: str) -> None:
        """Forget the secrets whose names begin so: they are made anew when they are asked for."""
        self._words = {name: word for name, word in self._words.items() if not name.startswith(beginnings)}
        write_private(self._file, json.dumps(self._words, indent=1))

    def word(self, name: str) -> str:
        """Return the secret of this name as hexadecimal digits; made and written down when it is asked for first."""
        if name not in self._words:
            self._words[name] = secrets.token_hex(SECRET_BYTES)
            write_private(self._file, json.dumps(self._words, indent=1))
        return self._words[name]


def make_keys(instances: Mapping[str, Instance]) -> None:
    """Make what is missing of every instance's keys and certificates, and write down whom each one trusts."""
    for instance in instances.values():
        keys = instance.keys
        _signing_key(keys, "identity")
        authority = _authority(instance)
        _certificate(keys / "tls", f"lokos-{instance.prefix}", authority, ExtendedKeyUsageOID.SERVER_AUTH)
        if instance.is_nation:
            _signing_key(keys, "gateway")
            _certificate(keys / "gateway-tls", "lokos-gateway", authority, ExtendedKeyUsageOID.CLIENT_AUTH)
    for instance in instances.values():
        write_private(instance.trust_file, json.dumps({"keys": _trust(instance, instances[NATION])}, indent=1))


def _trust(instance: Instance, nation: Instance) -> list[dict[str, object]]:
    """Whose tokens an instance takes, and for what: a state takes three narrow things from the nation, or fewer."""

    def entries(issuer: Instance, name: str, *scopes: str) -> list[dict[str, object]]:
        """While a key is rotated, the old one stands beside the new one."""
        return [trusted_key(_load(file), key_id(issuer, file), issuer.code, scopes) for file in signing_keys(issuer.keys, name)]

    if instance.is_nation:
        return [*entries(instance, "identity", "users"), *entries(instance, "gateway", "sessions")]
    return [
        *entries(instance, "identity", "users", "kyc"),
        *entries(nation, "identity", "invitation"),
        *entries(nation, "gateway", "aggregates"),
    ]


def signing_keys(folder: Path, name: str) -> list[Path]:
    """The signing keys of this name, the one in use last: identity.pem, then identity-2.pem, and so on."""
    return sorted((*folder.glob(f"{name}.pem"), *folder.glob(f"{name}-[0-9]*.pem")), key=_number)


def _number(file: Path) -> int:
    return int(file.stem.partition("-")[2] or 1)


def key_id(instance: Instance, file: Path) -> str:
    """How tokens name the key that signed them."""
    return f"{instance.code}-{file.stem}"


def add_signing_key(folder: Path, name: str) -> None:
    """A new key, which is the one in use from the next start on."""
    number = _number(signing_keys(folder, name)[-1]) + 1
    write_private(folder / f"{name}-{number}.pem", _private_pem(Ed25519PrivateKey.generate()))


def make_vault_keys(instance: Instance, sealing: str, indexing: str) -> Path:
    """The file of the vault's keys, begun with these two; further ones are the vault's own to make (`vault rotate`)."""
    if not instance.vault_keys_file.exists():
        lines = "# The vault's keys: kind, number, key. Without them nothing in it can be read.", f"data 1 {sealing}", f"index 1 {indexing}"
        write_private(instance.vault_keys_file, "\n".join((*lines, "")))
    return instance.vault_keys_file


def vault_keys(instance: Instance) -> dict[str, str]:
    """The vault's keys by the names that a backup's manifest gives them; the first two are called as when there was one of each."""
    if not instance.vault_keys_file.exists():
        return {}
    names = {"data": "vault key", "index": "vault token key"}
    lines = [line.split() for line in instance.vault_keys_file.read_text(encoding="ascii").splitlines() if line and not line.startswith("#")]
    return {names[kind] + ("" if number == "1" else f" {number}"): key for kind, number, key in lines}


def trusted_key(key: Ed25519PrivateKey, name: str, issuer: str, scopes: Iterable[str]) -> dict[str, object]:
    """A signing key's public half as trust files have it: a JSON Web Key that also says whose it is, and for what it is trusted."""
    public = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**public, "kid": name, "use": "sig", "alg": "EdDSA", "issuer": issuer, "scopes": [*scopes]}


def _load(file: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError(f"{file} is not the key that was written there.")
    return key


def _private_pem(key: Ed25519PrivateKey | EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _signing_key(folder: Path, name: str) -> None:
    if not signing_keys(folder, name):
        write_private(folder / f"{name}.pem", _private_pem(Ed25519PrivateKey.generate()))


def _name(words: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, words)])


def _sign(builder: x509.CertificateBuilder, issuer: x509.Name, signer: EllipticCurvePrivateKey, usage: x509.KeyUsage) -> bytes:
    now = datetime.now(UTC)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    certificate = (
        builder.issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        # An hour back, for a client whose clock is behind.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * CERTIFICATE_YEARS))
        .add_extension(authority, critical=False)
        .add_extension(usage, critical=True)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(instance: Instance) -> tuple[x509.Name, EllipticCurvePrivateKey]:
    """Load the instance's own small certificate authority, made when it is not there."""
    name, file = _name(f"LokOS {instance.name} CA"), instance.keys / "ca.key"
    if not (file.exists() and instance.ca_file.exists()):
        key = generate_private_key(SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        write_private(instance.ca_file, _sign(builder, name, key, _usage(authority=True)))
        write_private(file, _private_pem(key))
    loaded = load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(loaded, EllipticCurvePrivateKey):
        raise TypeError(f"{file} is not the key that was written there.")
    return name, loaded


def _certificate(stem: Path, subject: str, authority: tuple[x509.Name, EllipticCurvePrivateKey], use: x509.ObjectIdentifier) -> None:
    """Make a certificate `stem`.pem and its key `stem`.key, good for this machine only."""
    certificate, key_file = stem.with_suffix(".pem"), stem.with_suffix(".key")
    if certificate.exists() and key_file.exists():
        return
    key = generate_private_key(SECP256R1())
    places = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(places), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    )
    write_private(certificate, _sign(builder, *authority, _usage(authority=False)))
    write_private(key_file, _private_pem(key))
