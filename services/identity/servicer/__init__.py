"""gRPC in: invitations and e-KYC here; sessions, users, their mapping sheet, clusters and consents in rooms of their own."""

from datetime import UTC, datetime

import grpc

from protos import identity_pb2, identity_pb2_grpc
from services.chassis import settings, tokens
from services.chassis.audit import Reads
from services.chassis.interceptors import caller
from services.identity.adapters import ekyc
from services.identity.commands import consent, invitation, kyc
from services.identity.keeper import Keeper
from services.identity.rules import kyc as kyc_rules
from services.identity.rules import vault as vault_rules
from services.identity.rules.consent import Purpose, missing
from services.identity.rules.kyc import Kyc
from services.identity.rules.vault import Identity
from services.identity.rules.verified import VerifiedIdentity
from services.identity.servicer.bookkeepers import Bookkeepers
from services.identity.servicer.clusters import Clusters
from services.identity.servicer.consents import Consents
from services.identity.servicer.papers import Papers
from services.identity.servicer.sessions import Sessions
from services.identity.servicer.show import SERVICE, show, transaction
from services.identity.servicer.users import Users
from services.kernel.errors import Unavailable
from services.kernel.ids import parse_id
from services.kernel.month import today

PURPOSE = vault_rules.Purpose.E_KYC

Context = grpc.ServicerContext


class Servicer(Sessions, Users, Bookkeepers, Clusters, Consents, Papers, identity_pb2_grpc.IdentityServiceServicer):
    """Reads the request, runs a command or query, shows the answer."""

    def __init__(self) -> None:
        super().__init__()
        self._vault = Keeper()
        self._prefix = settings.state().user_prefix
        self._ekyc = ekyc.provider()
        self._fingerprint_key = settings.text("LOKOS_FINGERPRINT_KEY").encode()
        self.reads = Reads(SERVICE)

    def InviteStateAdmin(self, request: identity_pb2.InviteStateAdminRequest, _context: Context) -> identity_pb2.InviteStateAdminResponse:
        with transaction() as connection:
            token, ends = invitation.invite(connection, caller(), request.state, request.full_name, request.mobile)
        answer = identity_pb2.InviteStateAdminResponse(invitation=token)
        answer.expires_at.FromDatetime(ends)
        return answer

    def RedeemInvitation(self, request: identity_pb2.RedeemInvitationRequest, _context: Context) -> identity_pb2.User:
        claims = tokens.verify(request.invitation, "invitation")
        with transaction() as connection:
            return show(invitation.redeem(connection, claims, request.user_id, request.password, self._prefix, today()))

    def StartKyc(self, request: identity_pb2.StartKycRequest, _context: Context) -> identity_pb2.StartKycResponse:
        member_id = parse_id(request.member_id, "member_id")
        if not request.consent_id:
            raise missing()
        consent_id = parse_id(request.consent_id, "consent_id")
        number = kyc_rules.check_number(request.aadhaar_number, never_issued_too=self._ekyc.takes_never_issued)
        with transaction() as connection:
            consent.must_hold(connection, member_id, consent_id, Purpose.AADHAAR_ONLINE, datetime.now(UTC))
        self._vault.must_be_there()  # Before she is sent a one-time password for nothing.
        provider_txn = ekyc.new_txn()
        self._ekyc.request_otp(number, provider_txn)  # Outside of any transaction, and first: what it does not know is not stored.
        reference = self._vault.store(number, PURPOSE, caller().user_id)
        with transaction() as connection:
            begun = kyc.start(connection, caller(), member_id, consent_id, reference, provider_txn, datetime.now(UTC))
        answer = identity_pb2.StartKycResponse(kyc_id=str(begun.kyc_id))
        answer.expires_at.FromDatetime(begun.expires_at)
        return answer

    def ConfirmKyc(self, request: identity_pb2.ConfirmKycRequest, _context: Context) -> identity_pb2.ConfirmKycResponse:
        kyc_id = parse_id(request.kyc_id, "kyc_id")
        self._vault.must_be_there()  # Before a try, and the one-time password, are used up.
        with transaction() as connection:
            begun = kyc.take_try(connection, caller(), kyc_id, datetime.now(UTC))
        with transaction() as connection:  # Apart: who withdraws locks her row before her e-KYCs.
            kyc.must_be_consented(connection, begun, datetime.now(UTC))
        identity, said = self._prove(begun, request.otp)
        with transaction() as connection:
            attestation = kyc.confirm(connection, caller(), begun, identity, said.birth_year, said.gender, datetime.now(UTC))
        return identity_pb2.ConfirmKycResponse(
            attestation=attestation,
            name=said.name,
            birth_year=said.birth_year,
            number_masked=identity.masked,
        )

    def _prove(self, begun: Kyc, otp: str) -> tuple[Identity, VerifiedIdentity]:
        """Outside of any transaction. Where somebody is away, the try is hers again: the verification waits, and is as it was."""
        try:
            identity = self._vault.identify(begun.reference, PURPOSE, caller().user_id)
            number = self._vault.open_number(begun.reference, PURPOSE, caller().user_id)
            return identity, self._ekyc.confirm(number, begun.provider_txn, otp).said
        except Unavailable:
            with transaction() as connection:
                kyc.give_back_try(connection, caller(), begun)
            raise
