"""Before every RPC: who is let in, and how a refusal looks on the wire."""

from dataclasses import replace
from uuid import UUID

import pytest
from google.rpc import code_pb2, error_details_pb2

from protos import profiles_pb2
from protos.identity_pb2 import AssignRoleRequest
from protos.reporting_pb2 import ReportRequest
from protos.transactions_pb2 import PullRequest
from services.chassis import ended, interceptors, tokens
from services.chassis.contracts import Rpc
from services.kernel import errors
from services.kernel.caller import Caller, Role, Session
from services.kernel.ids import uuid7
from services.kernel.region import NOWHERE

BPM = Caller("IUP_X", Role.BLOCK_PROGRAM_MANAGER, "9.1.2")


def rpc(**changes):
    plain = {
        "path": "/lokos.profiles.v1.ProfilesService/X",
        "anyone": False,
        "any_role": False,
        "roles": frozenset({"BLOCK_PROGRAM_MANAGER"}),
        "scope": "",
        "bound": "NOTHING",
        "region": "",
        "institution": "",
        "idempotent": True,
    }
    return Rpc(**{**plain, **changes})


def bearer(caller):
    return {"authorization": f"Bearer {tokens.sign_caller(caller)[0]}"}


def test_a_user_of_the_role_is_let_in(up):
    assert interceptors.admit(rpc(), bearer(BPM), over_federation=False) == BPM


@pytest.mark.parametrize(
    ("call", "metadata", "over_federation", "code"),
    [
        (rpc(), {}, False, "TOKEN_MISSING"),
        (rpc(), {"authorization": "Basic x"}, False, "TOKEN_MISSING"),
        (rpc(), {"authorization": "Bearer x"}, False, "TOKEN_INVALID"),
        (rpc(roles=frozenset({"STATE_ADMIN"})), None, False, "ROLE_NOT_ALLOWED"),
        (rpc(roles=frozenset()), None, False, "ROLE_NOT_ALLOWED"),
        (rpc(), None, True, "SCOPE_NOT_ALLOWED"),
        (rpc(scope="aggregates"), None, True, "TOKEN_PURPOSE"),
        (rpc(anyone=True), {}, True, "SCOPE_NOT_ALLOWED"),
    ],
)
def test_everybody_else_is_not(up, call, metadata, over_federation, code):
    with pytest.raises(errors.Refused) as refused:
        interceptors.admit(call, bearer(BPM) if metadata is None else metadata, over_federation=over_federation)
    assert refused.value.code == code


HERS, OTHER = uuid7(), uuid7()
KEEPER = Caller("IUP_K", Role.SHG_BOOKKEEPER, "9.1.2.3.4", frozenset({HERS}))
APPROVER = Caller("IUP_A", Role.SHG_TRANS_APPROVER, "9.1.2", frozenset({HERS}))
IN_CHARGE = replace(BPM, clusters=("9.1.2.3", "9.1.2.5"))
IN_CHARGE_OF_NOTHING = replace(BPM, clusters=(NOWHERE,))
REPORT = rpc(region="region")
ASSIGN = rpc(region="assignment.region")
PULL = rpc(institution="institution_id")


def report(region):
    return ReportRequest(region=region)


def pull(institution_id):
    return PullRequest(institution_id=str(institution_id))


@pytest.mark.parametrize(
    ("call", "who", "request_", "code", "field"),
    [
        (REPORT, BPM, report("9.1.2"), "", ""),
        (REPORT, BPM, report("9.1.2.3"), "", ""),
        (REPORT, BPM, report(""), "", ""),
        (REPORT, BPM, report("9.1"), "REGION_NOT_YOURS", "region"),
        (REPORT, BPM, report("9.1.22"), "REGION_NOT_YOURS", "region"),
        (REPORT, BPM, report("9.1.2.x"), "REGION_INVALID", "region"),
        (REPORT, IN_CHARGE, report("9.1.2.5.7"), "", ""),
        (REPORT, IN_CHARGE, report("9.1.2"), "REGION_NOT_YOURS", "region"),
        (REPORT, IN_CHARGE, report("9.1.2.4"), "REGION_NOT_YOURS", "region"),
        (REPORT, IN_CHARGE_OF_NOTHING, report("9.1.2.3"), "REGION_NOT_YOURS", "region"),
        (REPORT, IN_CHARGE_OF_NOTHING, report(NOWHERE), "REGION_INVALID", "region"),
        (ASSIGN, BPM, AssignRoleRequest(assignment={"region": "9.1.2.3"}), "", ""),
        (ASSIGN, BPM, AssignRoleRequest(assignment={"region": "9"}), "REGION_NOT_YOURS", "assignment.region"),
        (ASSIGN, BPM, AssignRoleRequest(), "", ""),
        (PULL, KEEPER, pull(HERS), "", ""),
        (PULL, KEEPER, pull(str(HERS).upper()), "", ""),
        (PULL, KEEPER, pull(OTHER), "INSTITUTION_NOT_YOURS", "institution_id"),
        (PULL, KEEPER, pull("x"), "ID_INVALID", "institution_id"),
        (PULL, KEEPER, pull(""), "", ""),
        (PULL, APPROVER, pull(OTHER), "", ""),  # What lies below hers the query knows.
        (PULL, BPM, pull(OTHER), "", ""),  # Where it lies the query knows.
    ],
)
def test_a_request_names_what_is_hers_or_is_refused(call, who, request_, code, field):
    if not code:
        interceptors.must_reach(call, who, request_)
        return
    with pytest.raises(errors.Refused) as refused:
        interceptors.must_reach(call, who, request_)
    assert (refused.value.code, refused.value.field) == (code, field)


def read(message):
    return interceptors._read(type(message).FromString, message.SerializeToString())


MEMBER = {"name": "Sunita", "accounts": [{"row_id": "a"}, {"row_id": "b", "holder_name": "Sunita Devi"}], "photo": {}}


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (ReportRequest(region="9.1\0"), "region"),
        (AssignRoleRequest(assignment={"region": "\0"}), "assignment.region"),
        (profiles_pb2.SubmitMemberRequest(member=MEMBER | {"name": "Sunita\0"}), "member.name"),
        (profiles_pb2.SubmitMemberRequest(member=MEMBER | {"accounts": [{}, {"holder_name": "Sun\0ita"}]}), "member.accounts[1].holder_name"),
        (profiles_pb2.SubmitMemberRequest(member=MEMBER | {"livelihoods": ["FARM", "\0"]}), "member.livelihoods[1]"),
        (profiles_pb2.EditMastersRequest(values=[{"labels": {"en": "Sun\0"}}]), "values[0].labels[en]"),
        (profiles_pb2.EditMastersRequest(values=[{"labels": {"e\0n": "Sun"}}]), "values[0].labels"),
    ],
)
def test_no_text_of_any_request_holds_a_nul(message, field):
    with pytest.raises(errors.Invalid) as refused:
        read(message)
    assert (refused.value.code, refused.value.field) == ("TEXT_INVALID", field)


@pytest.mark.parametrize(
    "message",
    [
        profiles_pb2.SubmitMemberRequest(member=MEMBER),
        profiles_pb2.PutImageRequest(content=b"\0\0"),
        profiles_pb2.SubmitMemberRequest(),
    ],
)
def test_a_nul_in_a_number_a_file_or_where_nothing_stands_is_none(message):
    assert read(message) == message


@pytest.fixture
def view():
    """The door's, as a process has it at its start."""
    ended.view.cache_clear()
    yield ended.view("profiles")
    ended.view.cache_clear()


def test_a_token_is_refused_once_its_session_has_ended_or_gone_on_without_it(up, view):
    def code(generation):
        metadata = bearer(replace(BPM, session=Session(UUID(int=1), generation)))
        try:
            interceptors.admit(rpc(), metadata, over_federation=False)
        except errors.Refused as refused:
            return refused.code
        return "OK"

    assert code(0) == "NOT_READY", "nobody knows yet"
    assert interceptors.admit(rpc(), bearer(BPM), over_federation=False) == BPM, "a token of no session is of none that could have ended"
    view.renew({UUID(int=2): ended.ENDED})
    assert code(0) == "OK"
    view.renew({UUID(int=1): 3})
    assert [code(generation) for generation in (0, 3, 4)] == ["TOKEN_STALE", "TOKEN_STALE", "OK"]
    view.renew({UUID(int=1): ended.ENDED})
    assert code(4) == "SESSION_ENDED"
    view.renew({})
    assert code(4) == "OK"


def unpack(status, kind):
    found = [detail for detail in status.details if detail.Is(kind.DESCRIPTOR)]
    made = kind()
    if found:
        found[0].Unpack(made)
    return made


def test_a_refusal_carries_code_sentence_field_and_parameters():
    refused = errors.Invalid("MONTH_IN_FUTURE", "The month {month} has not come yet.", field="to_month", month="2030-01")
    status = interceptors.status_of(refused)
    assert status.code == code_pb2.INVALID_ARGUMENT
    assert status.message == "The month 2030-01 has not come yet."
    info = unpack(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == ("MONTH_IN_FUTURE", "lokos", {"month": "2030-01"})
    assert unpack(status, error_details_pb2.BadRequest).field_violations[0].field == "to_month"
    assert unpack(status, error_details_pb2.LocalizedMessage).message == status.message


def test_what_may_succeed_later_says_when_to_try():
    status = interceptors.status_of(errors.Exhausted("BUSY", "The system is busy; try again in a moment."))
    assert unpack(status, error_details_pb2.RetryInfo).retry_delay.seconds == interceptors.RETRY_SECONDS


def test_every_kind_of_refusal_has_a_status():
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Refused)}
    assert kinds - {errors.Refused} == set(interceptors.CODES)


def test_an_unknown_language_is_answered_in_english():
    refused = errors.NotFound("X", "There is no {thing}.", thing="village")
    assert interceptors.sentence(refused, interceptors._language("xx")) == "There is no village."


def test_a_strangers_languages_are_not_remembered():
    for number in range(100):
        assert interceptors._language(f"x{number}, ../../etc;q=0.5, zz-IN") == "en"
    assert set(interceptors._catalogues()) == {"en", "hi"}


def test_words_are_said_in_the_first_language_that_she_would_have_and_we_have():
    said = {
        spoken: interceptors._catalogues()[interceptors._language(spoken)].gettext("the same name") for spoken in ("xx, hi-IN;q=0.8", "en-IN", "")
    }
    assert said == {"xx, hi-IN;q=0.8": "वही नाम", "en-IN": "the same name", "": "the same name"}


def test_numbers_are_said_as_they_are():
    token = interceptors._spoken.set("hi")
    try:
        assert interceptors.in_her_language("formed at most 30 days apart") == "गठन की तिथियों में अधिक से अधिक 30 दिन का अंतर"
        assert interceptors.in_her_language("9 words of which there is no Hindi") == "9 words of which there is no Hindi"
        assert interceptors.in_her_language("") == ""
    finally:
        interceptors._spoken.reset(token)


def test_a_trace_in_the_log_quotes_nothing():
    import json
    import logging
    import sys

    from services.chassis.logs import JsonLines

    quoted = str(9876543210)
    try:
        raise ValueError(quoted)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "our bug", (), sys.exc_info())
    line = JsonLines("p").format(record)
    assert quoted not in line
    assert json.loads(line)["error"] == "ValueError"
