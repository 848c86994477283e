"""Members on a real PostgreSQL: from maker to checker, screened, with their evidence, in sight of their own, told anew and counted."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from protos import dedup_pb2, profiles_pb2
from services.chassis import audit
from services.kernel import codes
from services.kernel.errors import Invalid, NotFound, Refused
from services.kernel.ids import uuid7
from services.kernel.tally import total
from services.profiles import queries
from services.profiles.commands import account, institution, member, restate, review
from services.profiles.queries import MEMBER
from services.profiles.rules.account import Answer, Outcome
from services.profiles.rules.review import Decided, Decision
from services.profiles.tables import account_checks
from tests.profiles.builders import (
    BLOCK,
    NOT_HER,
    SERVICE,  # noqa: F401 - whose connection the tests have
    TODAY,
    VILLAGE,
    active_shg,
    approve,
    approve_institution,
    bookkeeper,
    code_of,
    edited,
    emptied,
    enrol,
    events,
    last,
    manager,
    new_shg,
    phone,
    reject,
    said_of,
    screen,
    screened,
    submit,
    vo_bookkeeper,
)

pytestmark = pytest.mark.usefixtures("land")


@pytest.fixture
def connection(connection):
    return emptied(connection)


# --- From maker to checker


def test_a_member_from_maker_to_checker(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id)
    row, waiting = made.row, made.waiting
    assert (row.status, row.revision, row.code, row.region, row.content) == ("SUBMITTED", 0, None, VILLAGE, None)
    assert (waiting.status, waiting.revision, waiting.verdict, waiting.open_questions) == ("SUBMITTED", 1, None, True)
    submitted, version = last(connection, profiles_pb2.MemberSubmitted)
    assert (submitted.name, submitted.mobile, submitted.revision, submitted.birth_year, version) == (
        "Sunita Devi",
        "6000917401",
        1,
        1985,
        row.version,
    )
    assert (submitted.account_number, submitted.ifsc, submitted.account_holding) == ("1000200917401", "ZZZZ0KLD001", "SINGLE")
    assert code_of(approve, connection, row.id) == "NOT_SCREENED"

    screen(connection, made, ("f1", dedup_pb2.VERDICT_POTENTIAL))
    changed, version = last(connection, profiles_pb2.MemberChanged)
    assert (changed.verdict, changed.status, version) == (profiles_pb2.VERDICT_POTENTIAL, profiles_pb2.STATUS_SUBMITTED, row.version + 1)
    assert code_of(approve, connection, row.id) == "FINDING_UNDECIDED"
    active = approve(connection, row.id, 1, NOT_HER)
    assert (active.row.status, active.row.activated_on, active.row.revision, active.waiting) == ("ACTIVE", TODAY, 1, None)
    assert active.content == waiting.content
    assert codes.check_code(active.row.code, "code").startswith("M09")
    decided, version = last(connection, profiles_pb2.MemberDecided)
    assert (decided.status, decided.decisions[0].reason, version) == (profiles_pb2.STATUS_ACTIVE, "I met both", active.row.version)
    [finding] = queries.findings_of(connection, [active])[row.id]
    assert (finding.decision, finding.decided_by, finding.clues) == ("NOT_A_DUPLICATE", "IUP_BPM", ["the same village"])

    told = len(events(connection))
    assert approve(connection, row.id, 1, NOT_HER) == active
    assert submit(connection, maker, shg_id, row.id) == active
    assert code_of(reject, connection, row.id, remark="late") == "NOTHING_WAITS"
    assert len(events(connection)) == told


def test_events_to_reporting_name_nobody(connection):
    shg_id, maker = new_shg(connection)
    content = submit(connection, maker, shg_id).content
    personal = (content["name"], content["relation_name"], content["phones"][0]["number"], content["accounts"][0]["account_number"])
    bodies = b"".join(one.body for one in events(connection, "MemberChanged"))
    assert not any(word.encode() in bodies for word in personal)
    facts = connection.execute(select(audit.audit.c.facts)).scalars().all()
    assert not any(word in str(facts) for word in personal)


def test_each_active_member_has_her_own_code(connection):
    shg_id, maker = new_shg(connection)
    given = {enrol(connection, maker, shg_id, name=f"Member {letter}").row.code for letter in "abc"}
    assert len(given) == 3


def test_who_is_handed_back_comes_again_as_the_next_revision(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id, name="Sunita Dvei")
    her = made.row.id
    screen(connection, made)
    rejected = reject(connection, her, 1, ["OTHER", "NAME_WRONG"], " look at the  name ")
    assert (rejected.row.status, rejected.waiting.status) == ("REJECTED", "REJECTED")
    assert (rejected.waiting.reasons, rejected.waiting.remark) == (["NAME_WRONG", "OTHER"], "look at the name")
    assert reject(connection, her, 1, ["NAME_WRONG", "OTHER"], "look at the name") == rejected
    assert code_of(reject, connection, her, remark="another thing") == "MOVE_NOT_ALLOWED"
    assert code_of(submit, connection, maker, shg_id, her, 1) == "REVISION_CONTENT"
    again = submit(connection, maker, shg_id, her, 2)
    assert (again.row.status, again.waiting.revision, again.content["name"]) == ("SUBMITTED", 2, "Sunita Devi")
    assert (again.waiting.remark, again.waiting.reasons, again.waiting.verdict, again.waiting.returns) == ("", [], None, 1)
    assert code_of(approve, connection, her, 1) == "REVISION_OLD"
    assert code_of(approve, connection, her, 2) == "NOT_SCREENED"
    assert code_of(submit, connection, maker, shg_id, her, 1, name="Sunita Dvei") == "REVISION_OLD"


def test_revisions_conflict_naming_the_field(connection):
    shg_id, maker = new_shg(connection)
    her = submit(connection, maker, shg_id).row.id
    for changes, field in (({"name": "Sita"}, "name"), ({"birth_year": "1986"}, "birth_year"), ({"phones": []}, "phones")):
        with pytest.raises(Refused) as refused:
            submit(connection, maker, shg_id, her, **changes)
        assert (refused.value.code, refused.value.field) == ("REVISION_CONTENT", field)
    assert code_of(submit, connection, maker, shg_id, her, 2, name="Sita") == "LOCKED"
    assert code_of(submit, connection, maker, shg_id, her, 3) == "LOCKED"
    other_id, _ = new_shg(connection, name="Roshni")
    screen(connection, queries.member(connection, maker, her))
    approve(connection, her)
    assert code_of(submit, connection, bookkeeper(shg_id, other_id), other_id, her, 2) == "FIELD_FIXED"


def test_only_her_own_bookkeeper_submits_a_member(connection):
    shg_id, maker = new_shg(connection)
    her = submit(connection, maker, shg_id).row.id
    assert code_of(submit, connection, bookkeeper(uuid7()), shg_id) == "INSTITUTION_NOT_YOURS"
    assert code_of(submit, connection, maker, uuid7()) == "INSTITUTION_UNKNOWN"
    other_id, other = new_shg(connection, name="Roshni")
    assert code_of(submit, connection, other, other_id, her) == "INSTITUTION_NOT_YOURS"
    vo = uuid7()
    institution.submit(connection, vo_bookkeeper(), vo, 1, said_of("VO"), TODAY)
    assert code_of(submit, connection, bookkeeper(vo), vo) == "INSTITUTION_KIND"


# --- Screened


def test_a_stale_screening_does_not_count(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id)
    her = made.row.id
    stale = screened(her, 1, version=7)
    screen(connection, made, ("f1", dedup_pb2.VERDICT_POTENTIAL), version=5)
    reject(connection, her)
    again = submit(connection, maker, shg_id, her, 2, phones=[phone("6000917402")])
    member.note_screening(connection, *stale)
    assert code_of(approve, connection, her, 2) == "NOT_SCREENED"
    assert queries.findings_of(connection, [again])[her] == []
    screen(connection, again, ("f2", dedup_pb2.VERDICT_POTENTIAL), version=8)
    told = len(events(connection))
    screen(connection, again, version=8)  # The same again, and an older one: no news.
    screen(connection, again, version=6)
    assert len(events(connection)) == told
    assert code_of(approve, connection, her, 2, NOT_HER) == "FINDING_UNKNOWN"
    screen(connection, again, ("f3", dedup_pb2.VERDICT_POTENTIAL), version=9)  # f2 is gone; the verdict is the same.
    assert len(events(connection)) == told
    assert [finding.finding_id for finding in queries.findings_of(connection, [again])[her]] == ["f3"]


def test_a_screening_of_nobody_is_kept_for_us_to_look_at(connection):
    with pytest.raises(LookupError):
        member.note_screening(connection, *screened(uuid7(), 1, version=1))


def test_a_confirmed_duplicate_is_never_cleared_and_holds_nobody_up(connection):
    ids = sorted(uuid7() for _ in range(5))
    shg_id, maker = new_shg(connection, seats=said_of()["seats"])
    active = [enrol(connection, maker, shg_id, one, name=f"Member {'abcde'[place]}") for place, one in enumerate(ids)]
    double = submit(connection, maker, shg_id, name="Suneeta Devi")
    screen(connection, double, ("f1", dedup_pb2.VERDICT_CONFIRMED))
    assert code_of(approve, connection, double.row.id, 1, NOT_HER) == "FINDING_CONFIRMED"
    assert code_of(approve_institution, connection, shg_id) == "MEMBERS_PENDING"
    twice = [Decided("f1", Decision.DUPLICATE_REJECT, "")]
    assert reject(connection, double.row.id, 1, ["DUPLICATE"], "enrolled in Roshni", twice).waiting.reasons == ["DUPLICATE"]
    assert code_of(approve_institution, connection, shg_id) == "SEAT_NOT_ACTIVE"
    # After activation a screening may still come: it flags her, and undoes nothing.
    screen(connection, active[-1], ("f9", dedup_pb2.VERDICT_CONFIRMED))
    changed, _ = last(connection, profiles_pb2.MemberChanged)
    assert (changed.status, changed.verdict) == (profiles_pb2.STATUS_ACTIVE, profiles_pb2.VERDICT_CONFIRMED)


def test_duplicate_rests_on_a_finding(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id)
    screen(connection, made, ("f1", dedup_pb2.VERDICT_POTENTIAL))
    assert code_of(reject, connection, made.row.id, 1, ["DUPLICATE"]) == "REASON_UNFOUNDED"
    assert code_of(reject, connection, made.row.id, 1, ["DUPLICATE"], "again", NOT_HER) == "REASON_UNFOUNDED"
    twice = [Decided("f1", Decision.DUPLICATE_REJECT, "she is in Roshni")]
    assert reject(connection, made.row.id, 1, ["OTHER", "DUPLICATE"], "again", twice).waiting.reasons == ["DUPLICATE", "OTHER"]
    decided, _ = last(connection, profiles_pb2.MemberDecided)
    assert (decided.status, decided.decisions[0].decision) == (profiles_pb2.STATUS_REJECTED, profiles_pb2.DECISION_DUPLICATE_REJECT)


# --- Evidence


def test_an_attestation_that_grew_too_old_refuses_what_is_new_and_not_what_was_stored(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id, evidence=member.Evidence("token-1", 1985, "F"))
    too_old = Invalid("ATTESTATION_EXPIRED", "Too old.")
    assert submit(connection, maker, shg_id, made.row.id, evidence=too_old) == made
    assert code_of(submit, connection, maker, shg_id, None, evidence=too_old) == "ATTESTATION_EXPIRED"


def test_a_revision_that_tells_of_another_woman_than_the_evidence_is_noted(connection):
    shg_id, maker = new_shg(connection)
    made = submit(connection, maker, shg_id, evidence=member.Evidence("token-1", 1985, "F"))
    assert made.waiting.identity_notes == []
    reject(connection, made.row.id)
    again = submit(connection, maker, shg_id, made.row.id, 2, birth_year="1960")
    assert (again.waiting.identity_token, again.waiting.identity_notes) == ("token-1", ["BIRTH_YEAR"])
    screen(connection, again)
    assert queries.submission(connection, made.row.id).open_questions  # The checker is to look at it, whatever the duplicate check says.


def test_evidence_is_kept_as_a_token_and_is_part_of_what_was_said(connection):
    shg_id, maker = new_shg(connection)
    evidence = member.Evidence("token-1", 1979, "F")
    made = submit(connection, maker, shg_id, evidence=evidence)
    her = made.row.id
    assert (made.waiting.identity_token, made.waiting.identity_notes) == ("token-1", ["BIRTH_YEAR"])
    assert last(connection, profiles_pb2.MemberSubmitted)[0].identity_token == "token-1"
    assert last(connection, profiles_pb2.MemberChanged)[0].identity_verified
    assert submit(connection, maker, shg_id, her) == made
    assert submit(connection, maker, shg_id, her, evidence=evidence) == made
    assert code_of(submit, connection, maker, shg_id, her, evidence=member.Evidence("token-2")) == "REVISION_CONTENT"
    reject(connection, her, 1, ["NAME_WRONG"])
    again = submit(connection, maker, shg_id, her, 2, name="Sunita")
    assert again.waiting.identity_token == "token-1"
    screen(connection, again)
    assert approve(connection, her, 2).row.identity_token == "token-1"
    edit = submit(connection, maker, shg_id, her, 3, name="Sunita Devi")
    assert (edit.waiting.identity_token, edit.waiting.identity_notes) == ("token-1", ["BIRTH_YEAR"])


# --- What is in sight


def test_everybody_sees_her_own(connection):
    shg_id, maker = new_shg(connection)
    her = submit(connection, maker, shg_id).row.id
    seeing = [manager(), manager(region="9"), manager(region=""), manager(region=VILLAGE), maker]
    blind = [manager(region="9.178.1505"), manager(region="9.178.150"), manager(region="10"), bookkeeper(uuid7()), bookkeeper()]
    page = {"status": None, "after": None, "size": 50}
    for caller in seeing:
        assert queries.member(connection, caller, her).row.id == her
        assert queries.institution(connection, caller, shg_id).row.id == shg_id
        assert [one.row.id for one in queries.members_page(connection, caller, institution_id=None, **page)] == [her]
        assert [one.row.id for one in queries.institutions_page(connection, caller, kind="SHG", **page)] == [shg_id]
    for caller in blind:
        for call, wanted in ((queries.member, her), (queries.institution, shg_id)):
            with pytest.raises(NotFound):
                call(connection, caller, wanted)
        assert queries.members_page(connection, caller, institution_id=shg_id, **page) == []
        assert queries.institutions_page(connection, caller, kind=None, **page) == []
    for outside in blind[:3]:
        assert code_of(approve, connection, her, who=outside) == "MEMBER_UNKNOWN"
        assert code_of(reject, connection, her, who=outside) == "MEMBER_UNKNOWN"


def test_pages_follow_each_other(connection):
    shg_id, maker = new_shg(connection)
    ids = sorted(submit(connection, maker, shg_id, name=f"Member {letter}").row.id for letter in "abcde")
    found, after = [], None
    while page := queries.members_page(connection, maker, institution_id=shg_id, status="SUBMITTED", after=after, size=2):
        found += [one.row.id for one in page]
        after = found[-1]
    assert found == ids


# --- Told anew, and counted


def test_a_restatement_tells_dedup_what_waits_and_what_is_live(connection):
    _, maker, (her, other, *_) = active_shg(connection)
    live = queries.member(connection, maker, her)
    waiting = member.submit(connection, maker, her, 2, edited(live, name="Sunita Rani"), None, TODAY)
    member.submit(connection, maker, other, 2, edited(queries.member(connection, maker, other), name="Sita Rani"), None, TODAY)
    reject(connection, other, 2)
    assert restate.restate_submissions(connection, "dedup", None) is None
    anew = {
        (one.subject, one.event): (profiles_pb2.MemberSubmitted.FromString(one.body), one.version)
        for one in events(connection, "MemberSubmitted", to="dedup")
    }
    told, version = anew[str(her), "MemberSubmitted"]
    assert (told.name, told.revision, version) == ("Sunita Rani", 2, waiting.row.submitted_version)
    told, _ = anew[str(other), "MemberSubmitted"]
    assert (told.name, told.revision) == ("Member b", 1)
    newest = {(one.subject, one.event): (one.version, one.body) for one in events(connection)}
    of_submissions = [one for one in events(connection, to="dedup") if one.event == "MemberSubmitted"]
    assert {(one.version, one.body) for one in of_submissions} == {newest[one.subject, one.event] for one in of_submissions}


def test_the_tally_counts_the_active_of_each_block(connection):
    shg_id, maker = new_shg(connection)
    made = [submit(connection, maker, shg_id, name=f"Member {letter}") for letter in "abc"]
    active = []
    for one in made[:2]:
        screen(connection, one)
        active.append(approve(connection, one.row.id))

    def counted():
        assert restate.tally(connection, datetime.now(UTC)) == 1
        told, _ = last(connection, profiles_pb2.MembersTallied)
        versions = {one.subject: one.version for one in events(connection, "MemberChanged")}
        held = [(one.row.id, versions[str(one.row.id)]) for one in active]
        assert (told.block, told.members, told.fingerprint) == (BLOCK, 2, total(held)), "a copy holds the version that the tally counts"

    counted()
    member.submit(connection, maker, active[0].row.id, 2, edited(active[0], name="Another"), None, TODAY)
    counted()
    reject(connection, active[0].row.id, 2)
    counted()


def test_figures_are_told_in_the_nations_words(connection):
    shg_id, maker = new_shg(connection)
    submit(connection, maker, shg_id, social_category="GENERAL", accounts=[])
    changed, _ = last(connection, profiles_pb2.MemberChanged)
    assert (changed.social_category, changed.gender, changed.birth_year, changed.account_known) == ("OTHER", "FEMALE", 1985, False)


def test_an_unusual_age_is_an_open_question(connection):
    shg_id, maker = new_shg(connection)
    for name, year, is_open in (("Member a", "1960", True), ("Member b", "1985", False)):
        made = submit(connection, maker, shg_id, name=name, birth_year=year)
        screen(connection, made)
        assert queries.submission(connection, made.row.id).open_questions is is_open


def test_an_account_that_the_bank_knows_nothing_of_is_looked_at_by_itself(connection):
    shg_id, maker = new_shg(connection)
    she, another = (screened_clear(connection, maker, shg_id, name) for name in ("Sunita Devi", "Geeta Devi"))
    assert not queries.submission(connection, she).open_questions
    for member_id, outcome, name in ((she, Outcome.INVALID, ""), (another, Outcome.VALID, "SUNITA DEVI")):
        check = connection.execute(select(account_checks).where(account_checks.c.record_id == member_id)).one()
        account.note_answer(connection, check.check_id, check.attempts, Answer(outcome, name_at_bank=name), datetime.now(UTC))
    assert queries.submission(connection, she).open_questions
    assert queries.submission(connection, another).open_questions
    for member_id in (she, another):
        assert code_of(review.approve_plain, connection, manager(), MEMBER, member_id, 1, TODAY) == "QUESTIONS_OPEN"
    member.note_screening(connection, *screened(she, 1))
    assert queries.submission(connection, she).open_questions, "another screening does not make the account another"


def screened_clear(connection, maker, shg_id, name):
    made = submit(connection, maker, shg_id, name=name)
    member.note_screening(connection, *screened(made.row.id, 1))
    return made.row.id


def test_who_was_never_let_in_may_be_entered_in_another_shg(connection):
    (wrong, _), (right, _) = new_shg(connection), new_shg(connection, name="Other")
    maker = bookkeeper(wrong, right)
    made = submit(connection, maker, wrong)
    member.note_screening(connection, *screened(made.row.id, 1))
    reject(connection, made.row.id)
    again = submit(connection, maker, right, made.row.id, 2)
    assert (again.row.institution_id, again.waiting.institution_id, again.content["institution_id"]) == (right, right, str(right))
