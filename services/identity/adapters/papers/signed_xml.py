"""XML that UIDAI has signed: what it may look like at all, and what of it a certificate's key has signed.

Nobody is believed about what is signed: what is read is what the signature's digest was made of. Markup that UIDAI has no use for
(DOCTYPE, comments, CDATA, other instructions) is refused before any parser sees it.
"""

import codecs
import re
from dataclasses import replace

from cryptography import x509
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

from services.identity.rules.verified import TrustedCertificate

TAGS_MAX = 200  # A document of UIDAI's has some thirty.
DS = "{http://www.w3.org/2000/09/xmldsig#}"

_DECLARATION = re.compile(
    r"""<\?xml\s+version=["']1\.[0-9]["'](?:\s+encoding=["']utf-?8["'])?(?:\s+standalone=["'](?:yes|no)["'])?\s*\?>\s*""", re.IGNORECASE
)
_C14N = {CanonicalizationMethod.CANONICAL_XML_1_0.value, CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0.value}
_ENVELOPED = SignatureConstructionMethod.enveloped.value
_SIGNED_HOW = SignatureConfiguration(
    location="./",
    expect_references=1,
    signature_methods=frozenset({SignatureMethod.RSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
    ignore_ambiguous_key_info=True,  # Whatever keys it brings along count for nothing.
)

# Read from files, while there are any (services.chassis.child).
XMLVerifier.schemas()  # type: ignore[no-untyped-call]  # of a library whose types end here


def root_of(content: bytes) -> etree._Element | None:
    """The root of a document in UTF-8, whatever else it may say of itself, and of elements alone; None of any other."""
    try:
        text = content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        return None
    if declared := _DECLARATION.match(text):
        text = text[declared.end() :]
    # An empty xmlns is what the canonical form is cleared of below, and UIDAI writes none.
    if "<!" in text or "<?" in text or text.count("<") > TAGS_MAX or re.search(r"""xmlns\s*=\s*["']["']""", text):
        return None
    try:
        return etree.fromstring(text.encode(), _parser())
    except etree.XMLSyntaxError:
        return None


def is_plain(signature: etree._Element) -> bool:
    """Whether it signs the whole document around it, by one reference, in the way that UIDAI does."""
    [*references] = signature.iter(f"{DS}Reference")
    if len(references) != 1 or references[0].get("URI") != "" or next(signature.iter(f"{DS}Object"), None) is not None:
        return False
    transforms = [one.get("Algorithm") for one in references[0].iter(f"{DS}Transform")]
    return _ENVELOPED in transforms and len(transforms) <= len(_C14N) and set(transforms) <= _C14N | {_ENVELOPED}


def signed_by(certificate: TrustedCertificate, root: etree._Element) -> etree._Element | None:
    """What of it this certificate's key has signed, made anew from the very bytes of the digest; None where that is nothing.

    The library wants a certificate to be valid at some time; whether it counts for this document is judged by its window.
    """
    holder = x509.load_pem_x509_certificate(certificate.pem.encode())
    verifier = XMLVerifier()
    verifier.excise_empty_xmlns_declarations = True  # As UIDAI's own canonical form has them not.
    try:
        result = verifier.verify(
            root, x509_cert=holder, parser=_parser(), expect_config=replace(_SIGNED_HOW, verification_time=holder.not_valid_before_utc)
        )
    except (SignXMLException, etree.LxmlError, ValueError, TypeError):
        return None
    assert not isinstance(result, list), "one reference is expected"
    return result.signed_xml


def _parser() -> etree.XMLParser:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
