"""Institutions on a real PostgreSQL: from maker to checker, their place, parent, name and seats, told anew page by page."""

from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import select

from protos import dedup_pb2, profiles_pb2
from services.chassis import sheets
from services.kernel import geography
from services.kernel.caller import OPERATOR
from services.kernel.ids import uuid7
from services.profiles import queries
from services.profiles.commands import institution, life, places, restate, review, sheet
from services.profiles.queries import MEMBER, tasks
from services.profiles.rules.review import Decided, Decision
from services.profiles.servicer import show
from services.profiles.tables import institutions, mappings, members
from tests.profiles.builders import (
    BLOCK,
    FAR_VILLAGE,
    GP,
    NEXT_VILLAGE,
    NOT_HER,
    OTHER_GP,
    PLACES,
    SERVICE,  # noqa: F401 - whose connection the tests have
    TODAY,
    VILLAGE,
    account,
    active_shg,
    approve,
    approve_institution,
    bookkeeper,
    clerk,
    clf_bookkeeper,
    code_of,
    edited,
    emptied,
    enrol,
    events,
    last,
    live_at_once,
    manager,
    new_shg,
    office,
    reject,
    reject_institution,
    said_of,
    screen,
    screen_institution,
    submit,
    vo_bookkeeper,
)

pytestmark = pytest.mark.usefixtures("land")


@pytest.fixture
def connection(connection):
    return emptied(connection)


def hand_in(connection, maker, institution_id, revision=1, kind="SHG", **changes):
    return institution.submit(connection, maker, institution_id, revision, said_of(kind, **changes), TODAY)


def sitting(ids, below):
    """The office of a federation: members who stand for what is below it."""
    return [seat | {"institution_id": str(below)} for seat in office(*ids)]


def test_an_institution_from_maker_to_checker(connection):
    shg_id, _, women = active_shg(connection)
    clf, vo = uuid7(), uuid7()
    hand_in(connection, clf_bookkeeper(), clf, kind="CLF", seats=sitting(women[:3], vo))
    of_vo = {"kind": "VO", "parent_id": str(clf), "seats": sitting(women[:3], shg_id)}
    made = hand_in(connection, vo_bookkeeper(), vo, **of_vo)
    assert hand_in(connection, vo_bookkeeper(), vo, **of_vo) == made
    assert code_of(hand_in, connection, vo_bookkeeper(), vo, **of_vo | {"parent_id": ""}) == "REVISION_CONTENT"
    assert code_of(reject_institution, connection, vo, remark="") == "REMARK_MISSING"
    rejected = reject_institution(connection, vo, remark="whose VO is this?")
    assert reject_institution(connection, vo, remark="whose VO is this?") == rejected
    assert code_of(approve_institution, connection, vo) == "MOVE_NOT_ALLOWED"
    assert code_of(hand_in, connection, vo_bookkeeper(vo), vo, 2, **of_vo, region=OTHER_GP) == "REGION_NOT_YOURS"
    hand_in(connection, vo_bookkeeper(), vo, 2, **of_vo, name="Pragati Naya")
    assert code_of(approve_institution, connection, vo) == "REVISION_OLD"

    # Whom its seats stand for comes into a federation with its approval, and so does what named it before.
    assert approve_institution(connection, vo, 2).row.code.startswith("V09")
    assert queries.institution(connection, manager(), shg_id).row.parent_id == vo
    active = approve_institution(connection, clf)
    assert queries.institution(connection, manager(), vo).content["parent_id"] == str(clf)
    assert active.row.code.startswith("C09")
    assert approve_institution(connection, clf) == active
    changed, version = last(connection, profiles_pb2.InstitutionChanged)
    assert (changed.institution_id, changed.status, version) == (str(clf), profiles_pb2.STATUS_ACTIVE, 2)
    assert [one.version for one in events(connection, "InstitutionChanged") if one.subject == str(clf)] == [1, 2]
    mapped = connection.execute(select(mappings.c.child_id, mappings.c.parent_id, mappings.c.from_on, mappings.c.to_on)).all()
    assert sorted(mapped) == sorted([(shg_id, vo, TODAY, None), (vo, clf, TODAY, None)])


def test_which_accounts_it_has_and_what_it_saves_is_told_once_it_is_so(connection):
    def told():
        """What hearers know, and what one of them is told anew."""
        changed, version = last(connection, profiles_pb2.InstitutionChanged)
        restate.restate_institutions(connection, "transactions", None)
        assert events(connection, to="transactions")[-1].body == changed.SerializeToString()
        accounts = [(one.row_id, one.ended_on) for one in changed.accounts]
        return version, accounts, changed.compulsory_savings_paise, changed.savings_frequency

    old, new = account("1000200917402"), account("1000200917403")
    shg_id, maker, _ = active_shg(connection, accounts=[old])
    assert told() == (2, [(old["row_id"], "")], 10_000, "WEEKLY")
    live = queries.institution(connection, maker, shg_id)
    ended = {name: value for name, value in old.items() if name != "is_default"} | {"ended_on": TODAY.isoformat()}
    edit = edited(live, accounts=[new, ended], compulsory_savings_paise=20_000, savings_frequency="MONTHLY")
    for revision in (2, 3):
        institution.submit(connection, maker, shg_id, revision, edit, TODAY)
        assert told() == (2, [(old["row_id"], "")], 10_000, "WEEKLY"), "what waits is not so yet"
        if revision == 2:
            reject_institution(connection, shg_id, revision)
    approve_institution(connection, shg_id, 3)
    both = sorted([(old["row_id"], TODAY.isoformat()), (new["row_id"], "")])
    assert told() == (3, both, 20_000, "MONTHLY")
    newest = events(connection, "InstitutionChanged")[-1].body
    assert not any(secret.encode() in newest for one in (old, new) for secret in (one["account_number"], one["ifsc"])), "which there are, and no more"


def test_an_shg_is_activated_after_its_members(connection):
    ids = sorted(uuid7() for _ in range(6))
    shg_id, maker = new_shg(connection, seats=office(*ids[:3]))
    for place, member_id in enumerate(ids[:4]):
        enrol(connection, maker, shg_id, member_id, name=f"Member {'abcdef'[place]}")
    assert code_of(approve_institution, connection, shg_id) == "MEMBERS_TOO_FEW"
    enrol(connection, maker, shg_id, ids[4], name="Member e")
    double = submit(connection, maker, shg_id, ids[5], name="Suneeta Devi")
    screen(connection, double, ("f1", dedup_pb2.VERDICT_CONFIRMED))
    assert code_of(approve_institution, connection, shg_id) == "MEMBERS_PENDING"
    assert code_of(approve, connection, ids[5], 1, NOT_HER) == "FINDING_CONFIRMED"
    reject(connection, ids[5], 1, ["DUPLICATE"], "enrolled in Roshni", [Decided("f1", Decision.DUPLICATE_REJECT, "")])
    active = approve_institution(connection, shg_id)
    assert (active.row.status, active.row.code[:3], active.row.activated_on, active.waiting) == ("ACTIVE", "S09", TODAY, None)
    assert approve_institution(connection, shg_id) == active


def test_who_holds_an_office_is_an_active_member_of_it(connection):
    _, _, strangers = active_shg(connection, name="Roshni")
    shg_id, maker, ids = active_shg(connection)
    live = queries.institution(connection, maker, shg_id)
    pending = submit(connection, maker, shg_id, name="Member z").row.id
    for revision, president in ((2, strangers[0]), (3, pending), (4, uuid7())):
        seats = [seat | {"ended_on": "2025-01-01"} if seat["post"] == "PRESIDENT" else seat for seat in live.content["seats"]]
        [new, *_] = office(president, *ids[1:3], **{"from": "2025-01-02"})
        seats.append(new | {"row_id": str(uuid7())})
        institution.submit(connection, maker, shg_id, revision, edited(live, seats=seats), TODAY)
        assert code_of(approve_institution, connection, shg_id, revision) == "SEAT_NOT_ACTIVE"
        reject_institution(connection, shg_id, revision)
    assert queries.institution(connection, maker, shg_id).content == live.content


def test_an_institution_needs_its_place_its_parent_and_its_name(connection):
    maker = bookkeeper()
    cases = {
        "REGION_UNKNOWN": {"region": f"{GP}.777"},
        "REGION_NOT_YOURS": {"region": NEXT_VILLAGE},
        "PARENT_UNKNOWN": {"parent_id": str(uuid7())},
    }
    for code, changes in cases.items():
        assert code_of(hand_in, connection, maker, uuid7(), **changes) == code
    assert code_of(hand_in, connection, vo_bookkeeper(), uuid7()) == "KIND_NOT_YOURS"
    shg_id, _ = new_shg(connection)
    assert code_of(hand_in, connection, maker, uuid7(), name=" UJALA ") == "NAME_TAKEN"
    assert code_of(hand_in, connection, bookkeeper(user="IUP_OTHER"), shg_id) == "INSTITUTION_NOT_YOURS"
    assert code_of(approve_institution, connection, shg_id) == "MEMBERS_TOO_FEW"
    for outside in (manager(region="9.178.1505"), manager(region="9.178.150")):
        assert code_of(approve_institution, connection, shg_id, who=outside) == "INSTITUTION_UNKNOWN"


def lies(connection, record_id):
    """Where a record lies, and where what waits of it stands."""
    row = connection.execute(select(members.c.region).where(members.c.id == record_id)).one_or_none()
    row = row or connection.execute(select(institutions.c.region).where(institutions.c.id == record_id)).one()
    waiting = queries.submission(connection, record_id)
    return (row.region, waiting and (waiting.region, waiting.gp, waiting.block))


def test_until_it_is_live_an_institution_lies_where_its_maker_says(connection):
    """With all who were entered in it, in her own region."""
    shg_id, _ = new_shg(connection)
    maker = replace(bookkeeper(shg_id), region="9.178")
    active = enrol(connection, maker, shg_id).row.id
    pending = submit(connection, maker, shg_id, name="Member z").row.id
    reject_institution(connection, shg_id)
    assert code_of(hand_in, connection, bookkeeper(shg_id), shg_id, 2, region=FAR_VILLAGE) == "REGION_NOT_YOURS"
    assert code_of(hand_in, connection, maker, shg_id, 2, region=f"{GP}.777") == "REGION_UNKNOWN"
    there = "9.178.1505.88.881"
    moved = hand_in(connection, maker, shg_id, 2, region=there)
    assert hand_in(connection, maker, shg_id, 2, region=there) == moved
    stands = (there, "9.178.1505.88", "9.178.1505")
    assert [lies(connection, one) for one in (shg_id, active, pending)] == [(there, stands), (there, None), (there, stands)]
    assert moved.waiting.previous["region"] == VILLAGE  # What the checker saw, so that she is shown what has changed.
    for message, record_id in (
        (profiles_pb2.InstitutionChanged, shg_id),
        (profiles_pb2.MemberChanged, active),
        (profiles_pb2.MemberSubmitted, pending),
    ):
        told = [one for one in events(connection, message.DESCRIPTOR.name) if one.subject == str(record_id)][-1]
        assert message.FromString(told.body).region == there
    assert code_of(approve, connection, pending) == "MEMBER_UNKNOWN"


def test_where_a_live_institution_lies_is_put_right_by_an_edit(connection):
    shg_id, maker, women = active_shg(connection, members=6)
    leaving = women[5]
    life.submit(connection, maker, MEMBER, leaving, 2, {"act": "LEAVE", "on": "2026-03-20", "reason": "MARRIAGE"}, TODAY)
    live = queries.institution(connection, maker, shg_id)
    far = edited(live, region="9.178.1505.88.881")
    assert code_of(institution.submit, connection, maker, shg_id, 2, far, TODAY) == "REGION_OTHER_BLOCK"
    edit = institution.submit(connection, maker, shg_id, 2, edited(live, region=FAR_VILLAGE), TODAY)
    here, there = (VILLAGE, GP, BLOCK), (FAR_VILLAGE, OTHER_GP, BLOCK)
    assert (lies(connection, shg_id), lies(connection, leaving)) == ((VILLAGE, here), (VILLAGE, here))
    [shown] = show.institutions(connection, [edit])
    assert [(one.field, one.before, one.after) for one in shown.changes] == [("region", VILLAGE, FAR_VILLAGE)]
    # Whose clusters it would leave does not let it go into another's.
    assert code_of(approve_institution, connection, shg_id, 2, manager(clusters=(GP,))) == "REGION_NOT_YOURS"
    told = len(events(connection))
    moved = approve_institution(connection, shg_id, 2)
    assert (moved.row.region, moved.content["region"]) == (FAR_VILLAGE, FAR_VILLAGE)
    assert [lies(connection, one) for one in women[:5]] == [(FAR_VILLAGE, None)] * 5
    assert lies(connection, leaving) == (FAR_VILLAGE, there)
    heard = [(one.event, one.subject) for one in events(connection)[told:]]
    of_women = [(name, str(one)) for one in women for name in ("MemberChanged", "MemberSubmitted")]
    assert sorted(heard) == sorted([("InstitutionChanged", str(shg_id)), ("InstitutionSubmitted", str(shg_id)), *of_women])
    assert approve_institution(connection, shg_id, 2) == moved


def test_nothing_belongs_to_what_is_not_live(connection):
    """It may name its federation before, and belongs to it from the day on which both are live."""
    vo = uuid7()
    hand_in(connection, vo_bookkeeper(), vo, kind="VO")
    shg_id, maker, women = active_shg(connection)
    under = edited(queries.institution(connection, maker, shg_id), parent_id=str(vo))
    waiting = institution.submit(connection, maker, shg_id, 2, under, TODAY)

    def warned():
        [shown] = show.institutions(connection, [waiting])
        return "PARENT_NOT_LIVE" in {one.code for one in shown.warnings}

    def mapped():
        return connection.execute(select(mappings.c.child_id, mappings.c.parent_id, mappings.c.from_on, mappings.c.to_on)).all()

    assert warned()
    assert approve_institution(connection, shg_id, 2).row.parent_id == vo
    assert mapped() == []
    reject_institution(connection, vo)
    assert code_of(institution.withdraw, connection, vo_bookkeeper(vo), vo, 1) == "CHILDREN_LEFT"
    # It may have been put elsewhere, and what is to sit in it may be about to change, since it was named.
    hand_in(connection, vo_bookkeeper(vo), vo, 2, kind="VO", area=[NEXT_VILLAGE], seats=sitting(women[:3], shg_id))
    assert code_of(approve_institution, connection, vo, 2) == "PARENT_ELSEWHERE"
    reject_institution(connection, vo, 2)
    other, its_maker, _ = active_shg(connection, name="Roshni")
    free = queries.institution(connection, its_maker, other)
    institution.submit(connection, its_maker, other, 2, edited(free, name="Kiran"), TODAY)
    both = [*sitting(women[:3], shg_id)[:2], sitting(women[:3], other)[2]]
    hand_in(connection, vo_bookkeeper(vo), vo, 3, kind="VO", seats=both)
    assert code_of(approve_institution, connection, vo, 3) == "CHILD_PENDING"
    reject_institution(connection, vo, 3)
    hand_in(connection, vo_bookkeeper(vo), vo, 4, kind="VO", seats=sitting(women[:3], shg_id))
    approve_institution(connection, vo, 4)
    assert not warned()
    assert mapped() == [(shg_id, vo, TODAY, None)]


def test_whoever_sits_in_a_federation_stands_for_what_belongs_to_it(connection):
    (one, _, women), (other, _, others) = active_shg(connection), active_shg(connection, name="Roshni")
    pending, its_maker = new_shg(connection, name="Jyoti")
    hers = enrol(connection, its_maker, pending).row.id
    vo = uuid7()

    def refused(revision, ids, below):
        hand_in(connection, vo_bookkeeper(vo) if revision > 1 else vo_bookkeeper(), vo, revision, "VO", seats=sitting(ids, below))
        code = code_of(approve_institution, connection, vo, revision)
        reject_institution(connection, vo, revision)
        return code

    assert refused(1, others[:3], one) == "SEAT_NOT_ACTIVE"
    assert refused(2, [hers, *women[:2]], pending) == "SEAT_NOT_ACTIVE"
    hers_and_theirs = [*sitting(women[:3], one)[:2], sitting(others[:3], one)[2]]
    hand_in(connection, vo_bookkeeper(vo), vo, 3, "VO", seats=hers_and_theirs, bookkeeper="INTERNAL", bookkeeper_member_id=str(others[0]))
    assert code_of(approve_institution, connection, vo, 3) == "SEAT_NOT_ACTIVE"
    reject_institution(connection, vo, 3)
    hand_in(connection, vo_bookkeeper(vo), vo, 4, "VO", seats=sitting(women[:3], one))
    approve_institution(connection, vo, 4)
    assert [queries.institution(connection, manager(), shg).row.parent_id for shg in (one, other)] == [vo, None]
    # Once it is live, what comes to it does so by an edit of its own.
    held = queries.institution(connection, manager(), vo)
    new = {**sitting(others[:3], other)[0], "row_id": str(uuid7()), "post": "MEMBER", "body": "EXECUTIVE_COMMITTEE"}
    for revision, changes in ((5, {}), (6, {"institution_id": str(one)})):
        institution.submit(connection, vo_bookkeeper(vo), vo, revision, edited(held, seats=[*held.content["seats"], new | changes]), TODAY)
        assert code_of(approve_institution, connection, vo, revision) == "SEAT_NOT_ACTIVE"
        reject_institution(connection, vo, revision)
    shg = queries.institution(connection, manager(), other)
    institution.submit(connection, bookkeeper(other), other, 2, edited(shg, parent_id=str(vo)), TODAY)
    approve_institution(connection, other, 2)
    stranger = {**new, "institution_id": str(uuid7())}
    for revision, seat, code in ((7, stranger, "SEAT_NOT_BELOW"), (8, new | {"institution_id": str(one)}, "SEAT_NOT_FROM_THERE")):
        institution.submit(connection, vo_bookkeeper(vo), vo, revision, edited(held, seats=[*held.content["seats"], seat]), TODAY)
        assert code_of(approve_institution, connection, vo, revision) == code
        reject_institution(connection, vo, revision)
    institution.submit(connection, vo_bookkeeper(vo), vo, 9, edited(held, seats=[*held.content["seats"], new]), TODAY)
    assert len(approve_institution(connection, vo, 9).content["seats"]) == 4
    clf, elsewhere = uuid7(), uuid7()
    live_at_once(connection, hand_in(connection, vo_bookkeeper(), elsewhere, kind="VO", name="Unnati").row.id)
    hand_in(connection, clf_bookkeeper(), clf, kind="CLF", seats=sitting(women[:3], one))
    assert code_of(approve_institution, connection, clf) == "SEAT_NOT_ACTIVE"
    reject_institution(connection, clf)
    hand_in(connection, clf_bookkeeper(clf), clf, 2, "CLF", seats=[*sitting(women[:3], vo)[:2], sitting(women[:3], elsewhere)[2]])
    assert code_of(approve_institution, connection, clf, 2) == "SEAT_NOT_FROM_THERE"


def test_an_shg_is_let_in_among_many_once_its_members_are_there(connection):
    """What they make of its size is asked when it is let in, and not when it was handed in before them."""
    ids = sorted(uuid7() for _ in range(10))
    signed = [seat | {"is_signatory": "YES"} for seat in office(*ids[:3])]
    shg_id, maker = new_shg(connection, seats=signed, accounts=[account(holding="GROUP")])
    assert not tasks.page(connection, manager(), tasks.Wanted(plain=True), None, 25), "it is not screened yet"
    screen_institution(connection, shg_id, 1)
    [task] = tasks.page(connection, manager(), tasks.Wanted(plain=True), None, 25)
    assert task.record_id == shg_id
    for place, member_id in enumerate(ids):
        if place == 9:
            assert code_of(review.approve_plain, connection, manager(), "", shg_id, 1, TODAY) == "QUESTIONS_OPEN"
        enrol(connection, maker, shg_id, member_id, name=f"Member {'abcdefghij'[place]}")
    assert review.approve_plain(connection, manager(), "", shg_id, 1, TODAY).row.status == "ACTIVE"


def test_a_federation_is_mapped_with_its_history(connection):
    """Which VO an SHG belonged to, and until when, is kept (R-SHG-7); the same day twice is one."""
    shg_id, maker, _ = active_shg(connection)
    vos = [uuid7() for _ in range(2)]
    for number, vo in enumerate(vos):
        hand_in(connection, vo_bookkeeper(), vo, kind="VO", name=f"Pragati {'ab'[number]}")
        live_at_once(connection, vo)
    days = [date(2026, 4, 1), date(2026, 4, 1), date(2026, 5, 1), date(2026, 6, 1)]
    parents = [vos[0], vos[1], vos[0], None]
    for revision, (day, parent) in enumerate(zip(days, parents, strict=True), start=2):
        said = edited(queries.institution(connection, maker, shg_id), parent_id=str(parent or ""))
        institution.submit(connection, maker, shg_id, revision, said, day)
        screen_institution(connection, shg_id, revision)
        subject = queries.institution(connection, manager(), shg_id, for_update=True)
        institution.let_in(connection, manager(), subject, (), day)
    rows = connection.execute(select(mappings.c.parent_id, mappings.c.from_on, mappings.c.to_on).order_by(mappings.c.from_on)).all()
    assert rows == [(vos[1], days[0], days[2]), (vos[0], days[2], days[3])]


def test_a_restatement_tells_the_same_versions_to_one_hearer(connection):
    shg_id, maker, women = active_shg(connection)
    made = submit(connection, maker, shg_id)
    screen(connection, made, ("f1", dedup_pb2.VERDICT_POTENTIAL))
    approve(connection, made.row.id, 1, NOT_HER)
    hand_in(connection, vo_bookkeeper(), uuid7(), kind="VO")
    hand_in(connection, clf_bookkeeper(), uuid7(), kind="CLF")
    newest = {(one.event, one.subject): (one.version, one.body) for one in events(connection)}
    people = len(women) + 1
    for hearer, pages in restate.PAGES.items():
        for page in pages.values():
            assert page(connection, hearer, None) is None
        anew = {(one.event, one.subject): (one.version, one.body) for one in events(connection, to=hearer)}
        assert anew == {key: newest[key] for key in anew}
        assert len(anew) == {"identity": 3 + people, "transactions": 3 + people, "reporting": 3 + people, "dedup": 3 + 2 * people}[hearer]


def test_a_restatement_goes_page_by_page(connection, monkeypatch):
    monkeypatch.setattr(restate, "PAGE", 2)
    for name in ("Asha", "Roshni", "Ujala", "Jyoti"):
        new_shg(connection, name=name)
    after, pages = restate.restate_institutions(connection, "identity", None), 1
    while after:
        after, pages = restate.restate_institutions(connection, "identity", after), pages + 1
    assert pages == 3
    assert len(events(connection, to="identity")) == 4
    assert {one.subject for one in events(connection, to="identity")} == {str(one.id) for one in queries.institutions_within(connection, [BLOCK])}


def test_what_waits_keeps_the_place_that_it_asks_for(connection, tmp_path, monkeypatch):
    """While an edit waits that puts an SHG elsewhere, its own place may move, and the other one may end."""
    shg_id, maker, _ = active_shg(connection)
    there = edited(queries.institution(connection, maker, shg_id), region=FAR_VILLAGE)
    institution.submit(connection, maker, shg_id, 2, there, TODAY)
    places.move(connection, OPERATOR, [shg_id], NEXT_VILLAGE)
    held = queries.institution(connection, manager(), shg_id)
    assert (held.row.region, held.waiting.region, held.waiting.content["region"]) == (NEXT_VILLAGE, NEXT_VILLAGE, FAR_VILLAGE)
    assert held.waiting.previous["region"] == NEXT_VILLAGE
    path = tmp_path / "later.csv"
    geography.save(path, [geography.Place(one, one, "", date(1900, 1, 1), TODAY if one == FAR_VILLAGE else None) for one in PLACES])
    with monkeypatch.context() as patched:
        patched.setenv("LOKOS_GEOGRAPHY_FILE", str(path))
        assert code_of(approve_institution, connection, shg_id, 2) == "REGION_UNKNOWN"
    assert approve_institution(connection, shg_id, 2).row.region == FAR_VILLAGE


# --- Screened


def at_the_checker(connection, **changes):
    """An SHG that waits with all its members active; what was told of it."""
    ids = sorted(uuid7() for _ in range(5))
    shg_id, maker = new_shg(connection, seats=[seat | {"is_signatory": "YES"} for seat in office(*ids[:3])], accounts=[account()], **changes)
    for place, member_id in enumerate(ids):
        enrol(connection, maker, shg_id, member_id, name=f"Member {'abcde'[place]}")
    return shg_id, maker


def shown_of(connection, shg_id):
    return show.institutions(connection, [queries.institution(connection, manager(), shg_id)])[0]


def questions(connection, shg_id):
    return queries.submission(connection, shg_id).open_questions


def test_the_duplicate_check_is_told_what_waits_and_then_what_is_so(connection):
    ended = account("1000200917402", ended_on="2026-03-31", is_default="")
    shg_id, maker = at_the_checker(connection, name="Jai Maa Durga SHG")
    approve_institution(connection, shg_id)
    live = queries.institution(connection, maker, shg_id)
    old = [{**one, "ended_on": "2026-03-31", "is_default": ""} for one in live.content["accounts"]]
    edit = edited(live, name="Kali", region=NEXT_VILLAGE, accounts=[account("1000200917403"), ended, *old])
    institution.submit(connection, maker, shg_id, 2, edit, TODAY)
    reject_institution(connection, shg_id, 2)
    institution.submit(connection, maker, shg_id, 3, edit, TODAY)
    approve_institution(connection, shg_id, 3)
    told = [one for one in events(connection, "InstitutionSubmitted") if one.subject == str(shg_id)]
    assert [one.version for one in told] == sorted({one.version for one in told}), "each replaces the one before"
    heard = [profiles_pb2.InstitutionSubmitted.FromString(one.body) for one in told]
    submitted, active = profiles_pb2.STATUS_SUBMITTED, profiles_pb2.STATUS_ACTIVE
    assert [(one.revision, one.status, one.region, one.name) for one in heard] == [
        (1, submitted, VILLAGE, "Jai Maa Durga SHG"),
        (1, active, VILLAGE, "Jai Maa Durga SHG"),
        (2, submitted, NEXT_VILLAGE, "Kali"),
        (1, active, VILLAGE, "Jai Maa Durga SHG"),
        (3, submitted, NEXT_VILLAGE, "Kali"),
        (3, active, NEXT_VILLAGE, "Kali"),
    ]
    assert [[one.account_number for one in each.accounts] for each in heard] == [["1000200917401"]] * 2 + [
        ["1000200917403"],
        ["1000200917401"],
        *[["1000200917403"]] * 2,
    ]


def test_what_only_a_list_names_or_its_maker_took_back_is_nobodys_double(connection):
    cells = dict.fromkeys(sheet.INSTITUTION_COLUMNS.values(), "") | {"Kind": "SHG", "Name": "Roshni", "Region": "999111", "Formed on": "2020-01-01"}
    listed = sheet.take_institutions(connection, clerk(), [sheets.Row(2, cells)], TODAY, dry_run=False)[0].id
    shg_id, maker = new_shg(connection)
    reject_institution(connection, shg_id)
    institution.withdraw(connection, maker, shg_id, 1)
    heard = [profiles_pb2.InstitutionSubmitted.FromString(one.body) for one in events(connection, "InstitutionSubmitted")]
    assert {one.institution_id for one in heard} == {str(shg_id)} != {str(listed)}
    assert [profiles_pb2.Status.Name(one.status) for one in heard] == ["STATUS_SUBMITTED", "STATUS_REJECTED", "STATUS_WITHDRAWN"]
    restate.restate_institutions_submitted(connection, "dedup", None)
    [again] = events(connection, "InstitutionSubmitted", to="dedup")
    newest = events(connection, "InstitutionSubmitted")[-1]
    assert (again.version, again.body) == (newest.version, newest.body)


def test_a_finding_is_decided_with_a_reason_or_nothing_is_let_in(connection):
    shg_id, _ = at_the_checker(connection)
    assert code_of(approve, connection, shg_id, kind="") == "NOT_SCREENED"
    assert questions(connection, shg_id)
    screen_institution(connection, shg_id, 1, ("f1", dedup_pb2.VERDICT_POTENTIAL))
    assert questions(connection, shg_id)
    made = shown_of(connection, shg_id)
    assert (made.verdict, [one.clues for one in made.findings]) == (profiles_pb2.VERDICT_POTENTIAL, [["the same village"]])
    assert made.findings[0].other_institution_id
    assert not made.findings[0].other_member_id
    assert code_of(review.approve_plain, connection, manager(), "", shg_id, 1, TODAY) == "QUESTIONS_OPEN"
    assert code_of(approve_institution, connection, shg_id) == "FINDING_UNDECIDED"
    assert code_of(approve_institution, connection, shg_id, decisions=[replace(NOT_HER[0], reason=" ")]) == "REASON_MISSING"
    assert code_of(approve_institution, connection, shg_id, decisions=[replace(NOT_HER[0], finding_id="f2")]) == "FINDING_UNKNOWN"
    assert approve_institution(connection, shg_id, decisions=NOT_HER).row.status == "ACTIVE"
    [kept] = shown_of(connection, shg_id).findings
    assert (kept.decision, kept.reason) == (profiles_pb2.DECISION_NOT_A_DUPLICATE, "I met both")


def test_a_confirmed_one_is_overruled_by_nobody_and_a_clear_one_is_let_in_among_many(connection):
    shg_id, _ = at_the_checker(connection)
    screen_institution(connection, shg_id, 1, ("f1", dedup_pb2.VERDICT_CONFIRMED), ("f2", dedup_pb2.VERDICT_POTENTIAL), version=5)
    assert [one.finding_id for one in shown_of(connection, shg_id).findings] == ["f1", "f2"]
    assert code_of(approve_institution, connection, shg_id, decisions=NOT_HER) == "FINDING_CONFIRMED"
    assert code_of(reject_institution, connection, shg_id, decisions=NOT_HER) == "FINDING_CONFIRMED"
    screen_institution(connection, shg_id, 1, version=4)
    assert code_of(approve_institution, connection, shg_id) == "FINDING_CONFIRMED", "an older word replaces no newer one"
    screen_institution(connection, shg_id, 1, version=6)
    assert not shown_of(connection, shg_id).findings
    assert queries.submission(connection, shg_id).verdict == "CLEAR"
    # Five members are few, which is for her to look at.
    assert code_of(review.approve_plain, connection, manager(), "", shg_id, 1, TODAY) == "QUESTIONS_OPEN"
    assert approve_institution(connection, shg_id).row.verdict == "CLEAR"


def test_it_is_handed_back_as_a_duplicate_by_a_finding_alone(connection):
    shg_id, maker = at_the_checker(connection)
    assert code_of(reject_institution, connection, shg_id, reasons=["DUPLICATE"]) == "REASON_UNFOUNDED"
    screen_institution(connection, shg_id, 1, ("f1", dedup_pb2.VERDICT_POTENTIAL))
    same = [Decided("f1", Decision.DUPLICATE_REJECT, "")]
    assert code_of(approve_institution, connection, shg_id, decisions=same) == "FINDING_DUPLICATE"
    reject_institution(connection, shg_id, reasons=["DUPLICATE"], decisions=same)
    assert shown_of(connection, shg_id).findings[0].decision == profiles_pb2.DECISION_DUPLICATE_REJECT
    # What comes back is screened anew.
    content = queries.submission(connection, shg_id).content
    again = institution.submit(connection, maker, shg_id, 2, content | {"name": "Kali"}, TODAY)
    assert (again.waiting.verdict, list(shown_of(connection, shg_id).findings)) == (None, [])
    screen_institution(connection, shg_id, 1, ("f1", dedup_pb2.VERDICT_CONFIRMED))
    assert code_of(approve, connection, shg_id, 2, kind="") == "NOT_SCREENED", "that was of another revision"


def test_an_edit_is_screened_and_what_is_live_keeps_what_it_was_let_in_with(connection):
    shg_id, maker = at_the_checker(connection)
    screen_institution(connection, shg_id, 1, ("f1", dedup_pb2.VERDICT_POTENTIAL), version=1)
    live = approve_institution(connection, shg_id, decisions=NOT_HER)
    institution.submit(connection, maker, shg_id, 2, edited(live, name="Kali"), TODAY)
    assert code_of(approve, connection, shg_id, 2, kind="") == "NOT_SCREENED"
    screen_institution(connection, shg_id, 2, ("f2", dedup_pb2.VERDICT_CONFIRMED), version=2)
    assert code_of(approve_institution, connection, shg_id, 2) == "FINDING_CONFIRMED"
    reject_institution(connection, shg_id, 2)
    row = queries.institution(connection, maker, shg_id).row
    assert (row.status, row.verdict, row.name) == ("ACTIVE", "POTENTIAL", "Ujala")
    screen_institution(connection, shg_id, 1, ("f1", dedup_pb2.VERDICT_CONFIRMED), version=3)
    assert queries.institution(connection, maker, shg_id).row.verdict == "CONFIRMED"
    befalls = {"act": "CLOSE", "on": TODAY.isoformat(), "reason": "DEFUNCT"}
    life.submit(connection, maker, "", shg_id, 3, befalls, TODAY)
    assert approve_institution(connection, shg_id, 3).row.status == "INACTIVE", "what ends needs no screening"


def test_nobody_is_screened_whom_nobody_submitted(connection):
    with pytest.raises(LookupError):
        screen_institution(connection, uuid7(), 1)
