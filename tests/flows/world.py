"""The world that flow tests play in: real processes, states founded once, groups that each test makes for itself."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import psycopg
import pytest
from sqlalchemy import create_engine

from deploy.demo import books
from deploy.demo.cast import Nation, State, create_user, institutions_of, invite_state_admin, make_officers, members_of, take_in_geography, workbook
from deploy.demo.client import Client, refused
from deploy.demo.ledger import Ledger
from deploy.machine import Machine
from deploy.machine.layout import STATE_SERVICES, Instance
from protos import profiles_pb2, reporting_pb2, transactions_pb2
from protos.identity_pb2 import SessionEnded
from services.chassis import contracts, ended, mailbox, tokens
from services.kernel import month
from services.kernel.caller import Caller, Role, Session

ROOT = Path(__file__).parents[2]
FORMED = date(2015, 1, 1)
MEMBERS = 5
LET_IN = "LET_IN"
FIRST = (
    "Asha Bimla Chanda Durga Ekta Fulmati Girija Heera Indu Jyoti Kamla Lata Maya Nirmala Omvati Parvati Rekha Savitri Tara Uma Vidya Yashoda".split()
)
LAST = "Agrahari Bind Chaurasia Dhobi Ghosi Kahar Lodhi Maurya Nishad Pasi Rajbhar Saini Tharu Vishwakarma".split()


@dataclass
class World:
    """The nation and two states, founded; figures are compared before and after, so that tests may run again and again."""

    machine: Machine
    nation: Nation
    up: State
    br: State


def found(machine: Machine) -> World:
    """The hierarchy of both states, from the National Admin down; what is there is left as it is."""
    made = World(machine, Nation(machine), State(machine, "UP"), State(machine, "BR"))
    made.nation.found()
    for state in (made.up, made.br):
        take_in_geography(state, ROOT / "samples" / "lgd")
        invite_state_admin(made.nation, state)
        make_officers(state)
    return made


def strange_name() -> str:
    """A name of this run alone, so that only what a test plants is alike."""
    return " ".join("".join(random.choices("bdgjklmnprst", k=1)[0] + random.choice("aiu") for _ in range(6)).capitalize() for _ in range(2))


def later(dice: random.Random) -> list[object]:
    """The columns of the enrolment list from the relation's name on."""
    return [f"{dice.choice(FIRST)} {dice.choice(LAST)}", "OBC", f"9{dice.randrange(10**8, 10**9)}", "", "", "", date(2016, 1, 1)]


@dataclass
class Group:
    """An active SHG with five members, its bookkeeper, and its approver."""

    state: State
    institution_id: str
    region: str
    keeper: Client
    approver: Client
    members: list[str]

    def ledger(self) -> Ledger:
        """Its books as its device keeps them, nothing unsent in them."""
        return books.ledger(self.keeper, self.institution_id)

    def meeting(self, kept: Ledger, savings_paise: int = 5000) -> Any:
        """The next one, closed: everybody saves; held today, since a closed year takes no meeting."""
        return books.savings_meeting(kept, month.today(), self.members, savings_paise)


def make_groups(world: World, state: State, count: int, called: Sequence[str] = ()) -> list[Group]:
    """SHGs that are ready to meet, made as people make them: lists, users, members, approvals. `called`: their names, where they matter."""
    tag = uuid4().hex[:8]
    dice = random.Random(tag)
    villages = state.villages
    names = called or [f"Samooh {tag} {''.join(dice.choices('KLMNPRST', k=4))} {number}" for number in range(count)]
    places = [villages[number % len(villages)] for number in range(count)]
    header = ["Kind", "Name", "Local name", "Region", "Formed on", "Parent", "Compulsory savings (₹)"]
    rows = [["SHG", name, "", place.split(".")[-1], FORMED, "", 50] for name, place in zip(names, places, strict=True)]
    upload(state.clerk, state.clerk.profiles.UploadInstitutions, profiles_pb2.UploadInstitutionsRequest(workbook=workbook(header, rows)))
    shgs = [institutions_of(state.clerk)[name] for name in names]

    keeper_name, approver_name = f"BK{tag.upper()}", f"AP{tag.upper()}"
    ids = [shg.institution_id for shg in shgs]
    create_user(state, state.block_admin, keeper_name, "SHG_BOOKKEEPER", state.block, f"9{dice.randrange(10**8, 10**9)}", ids)
    create_user(state, state.block_admin, approver_name, "SHG_TRANS_APPROVER", state.block, f"8{dice.randrange(10**8, 10**9)}", ids)
    keeper, approver = state.client(keeper_name, "SHG_BOOKKEEPER"), state.client(approver_name, "SHG_TRANS_APPROVER")

    header = ["SHG", "Village", "Name", "Local name", "Gender", "Date of birth", "Birth year", "Relation", "Relation name", "Social category"]
    header += ["Mobile", "Account number", "IFSC", "Account holding", "Joined on"]
    people = [
        [
            name,
            place.split(".")[-1],
            f"{dice.choice(FIRST)} {dice.choice(LAST)}",
            "",
            "Female",
            "",
            dice.randrange(1960, 1995),
            "Spouse",
            *later(dice),
        ]
        for name, place in zip(names, places, strict=True)
        for _ in range(MEMBERS)
    ]
    upload(keeper, keeper.profiles.UploadMembers, profiles_pb2.UploadMembersRequest(workbook=workbook(header, people)))
    groups = []
    for shg in shgs:
        handed_in = [books.submit(keeper, member) for member in members_of(keeper, shg.institution_id)]
        for member in handed_in:
            books.approve(state.manager, books.screened(state.manager, member.member_id, 1), "Seen at home: another woman", state.reader)
        members = sorted(member.member_id for member in handed_in)
        books.approve_institution(state.manager, books.submit_institution(keeper, shg, dict.fromkeys(members, shg.institution_id)))
        groups.append(Group(state, shg.institution_id, shg.region, keeper, approver, members))
    for group in groups:
        books.wait_until("the books know the group", lambda group=group: known(group))
    return groups


def hold_meeting(group: Group) -> str:
    """One meeting, sent and approved; its id."""
    meeting = group.meeting(group.ledger())
    answers = books.sync(group.keeper, [meeting])
    assert answers[0].outcome == transactions_pb2.OUTCOME_APPLIED, answers[0]
    books.approve_meeting(group.approver, meeting.meeting_id)
    return meeting.meeting_id


def known(group: Group) -> bool:
    """Whether the books have heard that the group and all its members are active."""
    with database(group.state, "transactions") as kept:
        active = kept.execute(
            "select count(*) from institutions i join members m using (institution_id)"
            " where i.institution_id = %s and i.status = 'ACTIVE' and m.status = 'ACTIVE'",
            [group.institution_id],
        ).fetchone()
    return active == (len(group.members),)


def upload(client: Client, method: Any, request: Any) -> Any:
    answer = client(method, request, deadline_seconds=60)
    assert answer.refused == 0, [row for row in answer.rows if row.refusal.code][:3]
    return answer


def figures(state: State, region: str = "") -> dict[str, int]:
    """Every figure of the state's own report for a region, all time."""
    request = reporting_pb2.ReportRequest(
        report="summary",
        region=region or str(state.instance.state.lgd_code),
        level={1: "STATE", 2: "DISTRICT", 3: "BLOCK", 4: "GP", 5: "VILLAGE"}[len((region or "9").split("."))],
        from_month="2000-01",
        to_month=month.month_of(month.today()),
    )
    answer = state.reader(state.reader.reporting.Report, request, retry_seconds=60)
    assert len(answer.rows) == 1
    return dict(zip((column.name for column in answer.columns), answer.rows[0].values, strict=True))


def journal(group: Group) -> list[Any]:
    """Every line that stands in the group's journal."""
    lines: list[Any] = []
    request = transactions_pb2.JournalRequest(institution_id=group.institution_id)
    request.page.size = 500
    while True:
        answer = group.keeper(group.keeper.transactions.Journal, request, retry_seconds=60)
        lines.extend(answer.lines)
        if not answer.next:
            return lines
        request.page.after = answer.next


def database(state: State, service: str) -> psycopg.Connection[Any]:
    """A connection as a service's own role, for looking under the hood and for breaking things."""
    return psycopg.connect(state.instance.env[f"{service.upper()}_DATABASE_URL"].replace("+psycopg", ""), autocommit=True)


def answers(instance: Instance, token: str, services: tuple[str, ...] = STATE_SERVICES) -> dict[str, str]:
    """What each service says to a token: LET_IN where it goes on to the role or the request, else the code that it refuses it with."""
    address = instance.gateway_address if services == ("gateway",) else instance.grpc_address
    found = dict.fromkeys(services, LET_IN)
    with grpc.secure_channel(address, grpc.ssl_channel_credentials(instance.ca_file.read_bytes())) as channel:
        for service in services:
            path = next(rpc.path for rpc in contracts.rpcs(service).values() if rpc.roles)
            try:
                channel.unary_unary(path)(b"", metadata=(("authorization", f"Bearer {token}"),), timeout=20)
            except grpc.RpcError as error:
                if error.code() not in {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT}:
                    found[service] = refused(error).code or error.code().name
    return found


def all_say(code: str) -> dict[str, str]:
    return dict.fromkeys(STATE_SERVICES, code)


AT_ONCE_SECONDS = 5  # Within which everybody knows that a session ended (decision 17).


def token(instance: Instance, session_id: UUID, generation: int = 1) -> str:
    """A token of a session, signed as the identity of that instance signs it."""
    with pytest.MonkeyPatch.context() as there:
        for name, value in instance.env.items():
            there.setenv(name, value)
        return tokens.sign_caller(Caller("IXX_X", Role.SHG_BOOKKEEPER, session=Session(session_id, generation)))[0]


def end(instance: Instance, session_id: UUID, generation: int = ended.ENDED) -> None:
    """As identity ends a session, or all its tokens up to a generation: its own row and the event, in one transaction."""
    until = datetime.now(UTC) + timedelta(minutes=10)
    message = SessionEnded(session_id=str(session_id), generation=generation)
    message.until.FromDatetime(until)
    engine = create_engine(instance.env["IDENTITY_DATABASE_URL"])
    with engine.begin() as connection:
        ended.keep(connection, session_id, generation, until)
        mailbox.tell(connection, message, subject=session_id, version=generation)
    engine.dispose()


def at_once(holds: Callable[[], bool]) -> None:
    """Wait until everybody knows that a session ended."""
    books.wait_until("all know what ended", holds, AT_ONCE_SECONDS)
