"""What people and strangers send: each gets its code and sentence, and none gets INTERNAL."""

import time
from datetime import date, timedelta

import grpc
import pytest

from deploy.demo import books
from deploy.demo.cast import workbook
from deploy.demo.client import refused
from protos import identity_pb2, profiles_pb2, reporting_pb2, transactions_pb2
from services.kernel import month
from services.kernel.ids import uuid7
from tests.flows.world import figures, hold_meeting, make_groups

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def group(world):
    made = make_groups(world, world.up, 1)[0]
    hold_meeting(made)
    return made


def meeting(group, **changes):
    """The group's next meeting, spoilt after it was closed."""
    made = group.meeting(group.ledger())
    for name, value in changes.items():
        if name == "saving":
            made.savings[0].compulsory_paise = value
        elif name == "passbook":
            made.bank_statements.add(bank_id=books.position(group.keeper, group.institution_id).bank_ids[0], passbook_paise=value)
        else:
            setattr(made, name, value)
    return books.sync(group.keeper, [made], retry_seconds=0)[0]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"held_on": (date.today() + timedelta(days=2)).isoformat()}, "HELD_IN_FUTURE", "held_on"),  # noqa: DTZ011 - two days is any zone's future
        ({"held_on": "31-12-2025"}, "DATE_INVALID", "held_on"),
        ({"held_on": "1999-01-01"}, "HELD_LONG_AGO", "held_on"),
        ({"held_on": (month.today() - timedelta(days=1)).isoformat()}, "HELD_TOO_EARLY", "held_on"),
        ({"saving": -100}, "AMOUNT_NEGATIVE", "savings[0].compulsory_paise"),
        ({"saving": 10**15}, "AMOUNT_TOO_LARGE", "savings[0].compulsory_paise"),
        ({"counted_cash_paise": 1}, "CASH_UNBALANCED", "counted_cash_paise"),
        ({"saving": 1, "closing_hash": "0" * 64}, "CASH_UNBALANCED", "counted_cash_paise"),  # Which says more than that the seal differs.
        ({"passbook": 1}, "BANK_UNBALANCED", "bank_statements[0]"),
        ({"closing_hash": "0" * 64}, "CLOSING_DIFFERS", "closing_hash"),
        ({"lock": 2**62}, "LOCK_INVALID", "lock"),
        ({"number": 9999}, "MEETING_OUT_OF_SEQUENCE", "number"),
        ({"meeting_id": "7"}, "ID_INVALID", "meeting_id"),
        ({"meeting_id": "00000000-0000-4000-8000-000000000000"}, "ID_INVALID", "meeting_id"),
        ({"institution_id": str(uuid7())}, "INSTITUTION_NOT_YOURS", "institution_id"),
    ],
)
def test_a_spoilt_meeting_is_refused_by_its_field(group, changes, code, field):
    answer = meeting(group, **changes)
    assert answer.outcome == transactions_pb2.OUTCOME_REFUSED
    assert (answer.refusal.code, answer.refusal.field) == (code, field)
    assert answer.refusal.sentence


def test_more_than_a_device_may_hold_is_refused_whole(group):
    kept = group.ledger()
    unsent = [group.meeting(kept) for _ in range(5)]
    answers = books.sync(group.keeper, unsent, retry_seconds=0)
    assert {(answer.outcome, answer.refusal.code) for answer in answers} == {(transactions_pb2.OUTCOME_REFUSED, "UNSENT_TOO_MANY")}
    expect(lambda: books.sync(group.keeper, unsent * 20, retry_seconds=0), "MEETINGS_TOO_MANY")


def expect(call, code, status=None):
    error = books.refusal_of(call)
    assert error.code == code
    assert error.sentence
    assert error.status != grpc.StatusCode.INTERNAL
    assert status is None or error.status == status
    return error


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"region": "9.1.1.1.1.1.1"}, "REGION_INVALID"),
        ({"region": "unknown village"}, "REGION_UNKNOWN"),
        ({"region": "9.999999"}, "REGION_NOT_YOURS"),
        ({"region": "10"}, "REGION_NOT_YOURS"),
        ({"role": "QUEEN"}, "ROLE_UNKNOWN"),
        ({"role": "BLOCK_ADMIN"}, "MAY_NOT_CREATE"),
        ({"full_name": "a" * 10_000}, "NAME_TOO_LONG"),
        ({"full_name": ""}, "NAME_MISSING"),
        ({"full_name": "<script>"}, "NAME_INVALID"),
        ({"user_id": "IUP_sita"}, "USER_ID_INVALID"),
        ({"user_id": "IBH_SITA"}, "USER_ID_INVALID"),
        ({"mobile": "12"}, "MOBILE_INVALID"),
        ({"password": "short"}, "PASSWORD_WEAK"),
        ({"institution_ids": ["x"]}, "ID_INVALID"),
    ],
)
def test_a_user_that_cannot_be(world, changes, code):
    admin = world.up.block_admin
    plain = {
        "user_id": "IUP_NOBODY",
        "full_name": "Nobody",
        "mobile": "9876543210",
        "password": "a long enough one",
    }
    place = {"role": "SHG_BOOKKEEPER", "region": world.up.block}
    if changes.get("region") == "unknown village":
        changes = {"region": world.up.villages[0] + "9"}
    for name, value in changes.items():
        (plain if name in plain else place)[name] = value
    request = identity_pb2.CreateUserRequest(**plain, assignment=identity_pb2.Assignment(**place))
    expect(lambda: admin(admin.identity.CreateUser, request), code)


def test_tokens_that_open_nothing(world):
    reporting = world.up.nobody().reporting
    good = world.up.reader.token

    def call(token):
        try:
            reporting.Report(reporting_pb2.ReportRequest(), metadata=(("authorization", f"Bearer {token}"),), timeout=5)
        except grpc.RpcError as error:
            raise refused(error) from None

    unauthenticated = grpc.StatusCode.UNAUTHENTICATED
    expect(lambda: call(""), "TOKEN_MISSING", unauthenticated)
    expect(lambda: call("x"), "TOKEN_INVALID", unauthenticated)
    expect(lambda: call(world.br.reader.token), "TOKEN_FOREIGN", unauthenticated)
    place = len(good) // 2
    expect(lambda: call(good[:place] + ("A" if good[place] != "A" else "B") + good[place + 1 :]), "TOKEN_INVALID", unauthenticated)
    keeper = make_token_of_another_role(world)
    expect(lambda: call(keeper), "ROLE_NOT_ALLOWED", grpc.StatusCode.PERMISSION_DENIED)
    expect(lambda: call(expired(world)), "TOKEN_EXPIRED", unauthenticated)


def make_token_of_another_role(world):
    return make_groups(world, world.up, 1)[0].keeper.token


def expired(world):
    """A token that was good until a second ago: signed here with the state's own key, which a test may read."""
    from services.chassis import tokens
    from services.kernel.caller import Caller, Role

    life, tokens.ACCESS_LIFE = tokens.ACCESS_LIFE, timedelta(seconds=1)
    try:
        token, _ = tokens.sign_caller(Caller(world.up.user_id("SPM"), Role.STATE_PROGRAM_MANAGER, "9"))
    finally:
        tokens.ACCESS_LIFE = life
    time.sleep(1.2)
    return token


def test_sheets_that_cannot_be_taken(world):
    clerk = world.up.clerk
    header = ["Kind", "Name", "Local name", "Region", "Formed on", "Parent", "Compulsory savings (₹)"]

    def upload(content):
        return clerk(clerk.profiles.UploadInstitutions, profiles_pb2.UploadInstitutionsRequest(workbook=content), deadline_seconds=60)

    expect(lambda: upload(b"name,region"), "SHEET_UNREADABLE")
    expect(lambda: upload(workbook(header[:-1], [["SHG"]])), "SHEET_COLUMN_MISSING")
    expect(lambda: upload(workbook(header, [["SHG"]] * 100_000)), "SHEET_ROWS_TOO_MANY")
    village = world.up.villages[0].split(".")[-1]
    answer = upload(workbook(header, [["SHG", '=HYPERLINK("x")', "", village, date(2015, 1, 1), "", 50]]))
    assert [(row.row, row.refusal.code, row.refusal.field) for row in answer.rows] == [(2, "SHEET_FORMULA", "Name")]
    answer = upload(
        workbook(
            header,
            [
                ["SHG", "Samooh", "", village, date(2015, 1, 1), "", "-5"],
                ["CLUB", "x", "", village, "", "", 5],
                ["SHG", "Samooh", "", village, date(2015, 1, 1), "", "5.005"],
            ],
        )
    )
    assert [row.row for row in answer.rows] == [2, 3, 4]
    assert [row.refusal.code for row in answer.rows] == ["AMOUNT_NEGATIVE", "KIND_UNKNOWN", "AMOUNT_FRACTIONAL"]
    assert answer.accepted == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to_month": "2099-01"}, "MONTH_IN_FUTURE"),
        ({"from_month": "x"}, "MONTH_INVALID"),
        ({"report": "gossip"}, "REPORT_UNKNOWN"),
        ({"region": "9.8888888"}, "REGION_UNKNOWN"),
        ({"region": "10"}, "REGION_NOT_YOURS"),
        ({"level": "NATION"}, "REGION_LEVEL"),
        ({"page": {"size": -1}}, "PAGE_INVALID"),
        ({"page": {"size": 10**6}}, "PAGE_INVALID"),
    ],
)
def test_reports_that_cannot_be(world, changes, code):
    reader = world.up.reader
    plain = {"report": "summary", "region": "9", "level": "STATE", "from_month": "2000-01", "to_month": month.month_of(month.today())}
    expect(lambda: reader(reader.reporting.Report, reporting_pb2.ReportRequest(**{**plain, **changes})), code)


def test_a_block_manager_reads_her_block_and_no_more(world):
    manager = world.up.manager
    this_month = month.month_of(month.today())
    request = reporting_pb2.ReportRequest(report="summary", region="9", level="STATE", from_month="2000-01", to_month=this_month)
    expect(lambda: manager(manager.reporting.Report, request), "REGION_NOT_YOURS", grpc.StatusCode.PERMISSION_DENIED)
    request.region, request.level = world.up.block, "BLOCK"
    assert manager(manager.reporting.Report, request).rows


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"region": "9.8888888"}, "REGION_UNKNOWN"),
        ({"region": "10"}, "REGION_NOT_YOURS"),
        ({"region": "9;"}, "REGION_INVALID"),
        ({"from_on": "2026-02-30"}, "DATE_INVALID"),
        ({"to_on": "2099-01-01"}, "RANGE_INVALID"),
        ({"from_on": "2026-02-01", "to_on": "2026-01-31"}, "RANGE_INVALID"),
    ],
)
def test_portfolios_that_cannot_be(world, changes, code):
    reader = world.up.reader
    expect(lambda: reader(reader.reporting.Portfolio, reporting_pb2.PortfolioRequest(**changes)), code)


def test_a_block_manager_reads_the_age_of_her_blocks_loans_and_no_more(world):
    manager, reader = world.up.manager, world.up.reader
    expect(
        lambda: manager(manager.reporting.Portfolio, reporting_pb2.PortfolioRequest(region="9")),
        "REGION_NOT_YOURS",
        grpc.StatusCode.PERMISSION_DENIED,
    )
    expect(lambda: manager(manager.reporting.Portfolio, reporting_pb2.PortfolioRequest(region=f"{world.up.block}.77")), "REGION_UNKNOWN")

    def as_the_ledger_says(who, region):
        answer = who(who.reporting.Portfolio, reporting_pb2.PortfolioRequest(region=region, from_on="2000-01-01"))
        lent = {row.head: row.outstanding_paise for row in answer.rows}
        return answer.region == region and answer.HasField("as_of") and lent.get("A01", 0) == figures(world.up, region)["loans_outstanding_paise"]

    for who, region in ((manager, world.up.block), (reader, "9")):
        books.wait_until("the age of loans is told", lambda who=who, region=region: as_the_ledger_says(who, region))


def test_bytes_that_are_no_request_are_refused_not_called_our_bug(world):
    state = world.up
    channel = grpc.secure_channel(state.instance.grpc_address, grpc.ssl_channel_credentials(state.instance.ca_file.read_bytes()))
    raw = channel.unary_unary("/lokos.reporting.v1.ReportingService/Report")
    with channel, pytest.raises(grpc.RpcError) as error:
        raw(b"\xff\xff\xff", metadata=(("authorization", f"Bearer {state.reader.token}"),), timeout=5)
    assert refused(error.value).code == "REQUEST_UNREADABLE"


def test_ids_of_nothing(world, group):
    manager, keeper = world.up.manager, group.keeper
    expect(lambda: manager(manager.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=str(uuid7()))), "MEMBER_UNKNOWN")
    expect(lambda: manager(manager.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id="x")), "ID_INVALID")
    expect(lambda: keeper(keeper.transactions.Pull, transactions_pb2.PullRequest(institution_id=str(uuid7()))), "INSTITUTION_NOT_YOURS")
    expect(lambda: manager(manager.transactions.Pull, transactions_pb2.PullRequest(institution_id=str(uuid7()))), "INSTITUTION_UNKNOWN")
    expect(lambda: keeper(keeper.transactions.GetMeeting, transactions_pb2.GetMeetingRequest(meeting_id=str(uuid7()))), "MEETING_UNKNOWN")
    books_of = {"institution_id": group.institution_id, "from_on": "2026-01-01", "to_on": "2026-01-31"}
    request = transactions_pb2.PassbookRequest(member_id=str(uuid7()), **books_of)
    expect(lambda: keeper(keeper.transactions.Passbook, request), "MEMBER_UNKNOWN")


@pytest.mark.parametrize(
    ("from_on", "to_on", "code"),
    [
        ("2026-02-01", "2026-01-31", "RANGE_INVALID"),
        ("2024-01-01", "2026-01-31", "RANGE_TOO_LONG"),
        ("", "2026-01-31", "DATE_INVALID"),
        ("2026-01-01", "January", "DATE_INVALID"),
    ],
)
def test_days_of_no_book(group, from_on, to_on, code):
    keeper = group.keeper
    for name, says in (("CashBook", {}), ("ReceiptsAndPayments", {}), ("Passbook", {"member_id": group.members[0]})):
        request = getattr(transactions_pb2, f"{name}Request")(institution_id=group.institution_id, from_on=from_on, to_on=to_on, **says)
        expect(lambda name=name, request=request: keeper(getattr(keeper.transactions, name), request), code)


def test_whoever_logs_in_wrongly_learns_nothing(world):
    nobody = world.up.nobody()
    words = {
        books.refusal_of(lambda who=who: nobody(nobody.identity.Login, identity_pb2.LoginRequest(**who))).args[0]
        for who in (
            {"user_id": "IUP_BPM", "password": "wrong wrong wrong", "role": "BLOCK_PROGRAM_MANAGER"},
            {"user_id": "IUP_NOBODYATALL", "password": "wrong wrong wrong", "role": "BLOCK_PROGRAM_MANAGER"},
            {"user_id": "IUP_BPM", "password": "wrong wrong wrong", "role": "STATE_ADMIN"},
            {"user_id": "x" * 5000, "password": "y" * 5000, "role": "z"},
        )
    }
    assert len(words) == 1
