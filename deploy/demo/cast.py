"""The people of the story: how a state's users come to be, from the nation down to the bookkeeper (domain 7.1).

Everything here may be played again: what is there already is left as it is. The flow tests found their states with it too.
"""

import io
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from deploy.demo.books import wait_until
from deploy.demo.client import Client, Login, Pocket, RefusedError, refused
from deploy.demo.device import wait_for_otp
from deploy.machine import Instance, Machine
from deploy.machine.layout import PROJECT, VENV_PYTHON
from protos import identity_pb2, profiles_pb2
from services.kernel.geography import load
from services.kernel.ids import uuid7

NATION = "IN"


def password(user_id: str) -> str:
    """Everybody can read it here: for invented people on a machine of one's own, and for nothing else."""
    return f"everybody knows this one, number {sum(map(ord, user_id))}"


def run_in(instance: Instance, *arguments: str, stdin: str = "") -> str:
    """Run one of the services' own commands with the settings of an instance, as its operator would; what it printed."""
    command = [str(VENV_PYTHON), "-m", *arguments]
    done = subprocess.run(
        command, env={**_plain_environment(), **instance.env}, cwd=PROJECT, input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


def _plain_environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108 - a home for programs that ask for one


@dataclass
class State:
    """One instance, and its users by the role that they play. `block` is the LGD path of the block where the story is set."""

    machine: Machine
    code: str
    block: str = ""
    clients: dict[str, Client] = field(default_factory=dict)

    @property
    def instance(self) -> Instance:
        return self.machine.instances[self.code]

    def user_id(self, name: str) -> str:
        """IUP_BPM in Uttar Pradesh."""
        return self.instance.state.user_prefix + name

    def client(self, name: str, role: str) -> Client:
        """The client of a user at work in a role; one channel each, as each has a device."""
        return self.client_of(Login(self.user_id(name), password(self.user_id(name)), role))

    def client_of(self, login: Login) -> Client:
        key = f"{login.user_id}/{login.role}"
        if key not in self.clients:
            self.clients[key] = Client(self.instance.grpc_address, self.instance.ca_file, login, pocket=self.pocket)
        return self.clients[key]

    @property
    def pocket(self) -> Pocket:
        """The devices of this machine's people, and their sandbox inbox."""
        return Pocket(self.instance.folder / "devices", Path(self.instance.env["LOKOS_MESSAGE_INBOX"]))

    def nobody(self) -> Client:
        """A client that has not logged in."""
        if "" not in self.clients:
            self.clients[""] = Client(self.instance.grpc_address, self.instance.ca_file)
        return self.clients[""]

    def close(self) -> None:
        for client in self.clients.values():
            client.close()
        self.clients.clear()

    # The officers, by what they do in the story.
    @property
    def admin(self) -> Client:
        return self.client("STATEADMIN", "STATE_ADMIN")

    @property
    def villages(self) -> list[str]:
        """Those of the block, by their paths."""
        geography = load(Path(self.instance.env["LOKOS_GEOGRAPHY_FILE"]))
        return [village for gp in geography.below(self.block) for village in geography.below(gp)]

    @property
    def block_admin(self) -> Client:
        return self.client("BLOCKADMIN", "BLOCK_ADMIN")

    @property
    def clerk(self) -> Client:
        return self.client("BLOCKMIS", "BLOCK_THEMATIC_USER")

    @property
    def manager(self) -> Client:
        return self.client("BPM", "BLOCK_PROGRAM_MANAGER")

    @property
    def reader(self) -> Client:
        return self.client("SPM", "STATE_PROGRAM_MANAGER")


class Nation(State):
    """The national instance: its identity, and its gateway."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, NATION)

    @property
    def admin(self) -> Client:
        return self.client("ADMIN", "NATIONAL_ADMIN")

    def gateway(self) -> Client:
        """The National Admin, asking the gateway."""
        if "gateway" not in self.clients:
            login = Login(self.user_id("ADMIN"), password(self.user_id("ADMIN")), "NATIONAL_ADMIN")
            own = self.instance
            self.clients["gateway"] = Client(str(own.gateway_address), own.ca_file, login, pocket=self.pocket, identity_address=own.grpc_address)
        return self.clients["gateway"]

    def found(self) -> None:
        """The first National Admin comes by the operator's command line; everybody else is made by somebody."""
        user_id = self.user_id("ADMIN")
        arguments = ("create-national-admin", "--user-id", user_id, "--name", "Demo National Admin", "--mobile", "9000000000")
        run_in(self.instance, "services.identity", *arguments, stdin=password(user_id) + "\n")


def workbook(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A spreadsheet as somebody filled it in."""
    import openpyxl  # The demo itself hands in files that were made before.

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (header, *rows):
        sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def take_in_geography(state: State, folder: Path) -> str:
    """Take in the state's geography, and set the story in the first block that has Gram Panchayats; what the import printed."""
    printed = run_in(state.instance, "services.profiles", "geography", str(folder))
    geography = load(Path(state.instance.env["LOKOS_GEOGRAPHY_FILE"]))
    district = geography.below(str(state.instance.state.lgd_code))[0]
    state.block = next(block for block in geography.below(district) if geography.below(block))
    return printed


def invite_state_admin(nation: Nation, state: State) -> bool:
    """The National Admin invites, the state redeems; False where the State Admin is there already."""
    state.admin.forget_token()  # Of a state that was wiped since: it might still seem good.
    try:
        _ = state.admin.token
    except RefusedError as error:
        if error.code != "LOGIN_FAILED":
            raise
    else:
        return False
    answer = nation.admin(
        nation.admin.identity.InviteStateAdmin,
        identity_pb2.InviteStateAdminRequest(state=state.code, full_name=f"Demo State Admin {state.code}", mobile=_mobile(state, 1)),
    )
    user_id = state.user_id("STATEADMIN")
    nobody = state.nobody()
    nobody(
        nobody.identity.RedeemInvitation,
        identity_pb2.RedeemInvitationRequest(invitation=answer.invitation, user_id=user_id, password=password(user_id)),
    )
    return True


def _mobile(state: State, number: int) -> str:
    """A number of nobody: the officers of the story have phones that differ by state and person."""
    return f"90000{state.instance.state.lgd_code:02}{number:03}"


def make_officers(state: State) -> list[str]:
    """State Admin to District Admin to Block Admin to the block's clerk, and the Program Managers; the user ids in that order."""
    state_region = state.block.split(".")[0]
    district = ".".join(state.block.split(".")[:2])
    admin, district_admin = state.admin, state.client("DISTADMIN", "DISTRICT_ADMIN")
    steps: Sequence[tuple[Client, str, str, str]] = [
        (admin, "DISTADMIN", "DISTRICT_ADMIN", district),
        (admin, "SPM", "STATE_PROGRAM_MANAGER", state_region),
        (admin, "BPM", "BLOCK_PROGRAM_MANAGER", state.block),
        (district_admin, "BLOCKADMIN", "BLOCK_ADMIN", state.block),
        (state.block_admin, "BLOCKMIS", "BLOCK_THEMATIC_USER", state.block),
    ]
    for number, (maker, name, role, region) in enumerate(steps, 2):
        create_user(state, maker, name, role, region, _mobile(state, number))
    return [state.user_id("STATEADMIN"), *(state.user_id(name) for _, name, _, _ in steps)]


def create_user(state: State, maker: Client, name: str, role: str, region: str, mobile: str, institution_ids: Sequence[str] = ()) -> None:
    """Make a user, unless she is there. An approver stands on the VO's side."""
    user_id = state.user_id(name)
    side = "VO" if role.endswith("APPROVER") else ""
    request = identity_pb2.CreateUserRequest(
        user_id=user_id,
        full_name=f"Demo {role.replace('_', ' ').title()}",
        mobile=mobile,
        password=password(user_id),
        assignment=identity_pb2.Assignment(role=role, region=region, side=side, institution_ids=institution_ids),
    )

    def made() -> bool:
        try:
            maker(maker.identity.CreateUser, request)
        except RefusedError as error:
            # Identity hears of a new institution by event, a moment after it was made.
            if error.code not in {"USER_EXISTS", "INSTITUTION_UNKNOWN"}:
                raise
            return error.code == "USER_EXISTS"
        return True

    wait_until(f"identity knows the institutions of {user_id}", made)


def mapped(state: State, user_id: str, role: str) -> Client:
    """Somebody whom the mapping sheet made: she sets her password by the one-time password that comes to her mobile."""
    login = Login(user_id, password(user_id), role)
    client = state.client_of(login)
    try:
        _ = client.token
    except RefusedError as error:
        if error.code != "LOGIN_FAILED":
            raise
        set_password(state, login)
    return client


def set_password(state: State, login: Login) -> None:
    """As whoever forgot hers does."""
    nobody = state.nobody()
    with state.pocket.device(login.user_id) as device:
        asked = nobody(nobody.identity.ForgotPassword, identity_pb2.ForgotPasswordRequest(user_id=login.user_id, device=device.told))
    otp = wait_for_otp(state.pocket.inbox, asked.challenge_id)
    anew = identity_pb2.SetForgottenPasswordRequest(challenge_id=asked.challenge_id, otp=otp, new_password=login.password)
    nobody(nobody.identity.SetForgottenPassword, anew)


def on_another_device(state: State, client: Client) -> str:
    """Have a user log in elsewhere too; the refusal that her first device meets then, within seconds."""
    token = client.token
    pocket = Pocket(state.pocket.devices / "another", state.pocket.inbox)
    elsewhere = Client(state.instance.grpc_address, state.instance.ca_file, client.login, pocket=pocket)

    def is_out() -> str:
        # There may be a token of an earlier story there, which is worth something for some seconds more.
        elsewhere(elsewhere.profiles.ListInstitutions, profiles_pb2.ListInstitutionsRequest())
        try:
            client.profiles.ListInstitutions(profiles_pb2.ListInstitutionsRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=10)
        except grpc.RpcError as error:
            return str(refused(error))
        return ""

    try:
        return str(wait_until("the first device is out", is_out))
    finally:
        elsewhere.close()


def residents(path: Path) -> list[dict[str, str]]:
    """The sandbox's invented residents: what each would tell the bookkeeper's device."""
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def consent(client: Client, member_id: str, institution_id: str, purpose: str) -> Any:  # noqa: ANN401 - a Consent
    """The bookkeeper reads her the notice, and records that she agrees."""
    [notice] = client(client.identity.ListNotices, identity_pb2.ListNoticesRequest(purpose=purpose, language="hi")).notices
    given = identity_pb2.GiveConsentRequest(
        consent_id=str(uuid7()),
        member_id=member_id,
        institution_id=institution_id,
        purpose=purpose,
        notice_version=notice.version,
        language=notice.language,
        notice_hash=notice.hash,
        data_items=notice.data_items,
        channel="ASSISTED",
    )
    given.given_at.GetCurrentTime()
    return client(client.identity.GiveConsent, given)


def verify_identity(client: Client, member_id: str, institution_id: str, resident: dict[str, str]) -> Any:  # noqa: ANN401 - a ConfirmKycResponse
    """Her consent, then the two steps of e-KYC: the number, and the one-time password that she reads out."""
    agreed = consent(client, member_id, institution_id, "AADHAAR_ONLINE")
    started = client(
        client.identity.StartKyc,
        identity_pb2.StartKycRequest(member_id=member_id, aadhaar_number=resident["number"], consent_id=agreed.consent_id),
    )
    return client(client.identity.ConfirmKyc, identity_pb2.ConfirmKycRequest(kyc_id=started.kyc_id, otp=resident["otp"]))


def members_of(client: Client, institution_id: str) -> list[Any]:
    """All members of an institution, page by page."""
    found: list[Any] = []
    request = profiles_pb2.ListMembersRequest(institution_id=institution_id)
    while True:
        answer = client(client.profiles.ListMembers, request)
        found.extend(answer.members)
        if not answer.next:
            return found
        request.page.after = answer.next


def institutions_of(client: Client) -> dict[str, Any]:
    """All institutions in a caller's sight, by name."""
    found: dict[str, Any] = {}
    request = profiles_pb2.ListInstitutionsRequest()
    while True:
        answer = client(client.profiles.ListInstitutions, request)
        found.update({institution.name: institution for institution in answer.institutions})
        if not answer.next:
            return found
        request.page.after = answer.next
