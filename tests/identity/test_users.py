"""Users: made, changed, stopped, found; on a real database, rolled back after each test."""

import sys
from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import event, insert, select, text, update

from protos import identity_pb2, profiles_pb2
from services.chassis import audit, database, interceptors
from services.identity import __main__ as command_line
from services.identity import queries
from services.identity.commands import message, password, session, user
from services.identity.rules import assignment as assignments
from services.identity.rules import user as rules
from services.identity.rules.user import Assignment, Search, Side, Status, User
from services.identity.servicer import Servicer
from services.identity.tables import clusters, users
from services.kernel.caller import CREATES, LEVEL_OF, Caller, Role
from services.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from services.kernel.ids import uuid7
from services.kernel.region import Level
from tests.identity.builders import (
    BLOCK,
    BLOCK_ADMIN,
    DISTRICT_ADMIN,
    GP,
    HERE,
    NATION,
    NATIONAL_ADMIN,
    PASSWORD,
    STATE_ADMIN,
    TODAY,
    VILLAGE,
    asked,
    audited,
    create,
    heard,
    nobody,
    told,
    with_policies,
)

SERVICE = "identity"
SHG, VO, CLF = profiles_pb2.KIND_SHG, profiles_pb2.KIND_VO, profiles_pb2.KIND_CLF


@pytest.fixture(autouse=True)
def nobody_yet(request):
    if "connection" in request.fixturenames:
        nobody(request.getfixturevalue("connection"))


@pytest.fixture
def ended(monkeypatch):
    """What became of whose sessions, in order."""
    seen = []
    monkeypatch.setattr(session, "stale", lambda _connection, user_id: seen.append(("stale", user_id)))
    monkeypatch.setattr(session, "end_all", lambda _connection, _caller, user_id, why: seen.append((why, user_id)))
    return seen


@pytest.fixture
def posted(monkeypatch):
    """The messages asked for."""
    seen = []
    monkeypatch.setattr(message, "post", lambda _connection, *, key, template, user_id: seen.append((template, user_id, key)))
    return seen


def refusal(do):
    with pytest.raises(Refused) as refused:
        do()
    assert str(refused.value)
    return refused.value.code


def changes(connection):
    """How much is on record, told and posted: what changes nothing adds to none of it."""
    return len(told(connection)), len(audited(connection))


# Made


def test_a_user_is_made_audited_told_and_sent_word(connection, posted):
    made = create(connection, email="sita@example.org", language="hi")
    assert (made.full_name, made.mobile, made.email, made.language, made.version) == ("Sita Devi", "9876543210", "sita@example.org", "hi", 1)
    assert queries.user(connection, "IUP_SITA1") == made
    [(change, version, to)] = told(connection)
    assert (change.user_id, [(one.role, one.region) for one in change.places], change.month, change.active, version, to) == (
        "IUP_SITA1",
        [("SHG_BOOKKEEPER", VILLAGE)],
        "2026-07",
        True,
        1,
        None,
    )
    assert audited(connection)[0] == ("user.create", ["IUP_SITA1"])
    assert posted == [("user_made", "IUP_SITA1", "user_made:IUP_SITA1")]
    assert queries.password_hash(connection, "IUP_SITA1").startswith("$argon2id$")
    facts = str(connection.execute(select(audit.audit.c.facts)).all())
    for secret in (PASSWORD, "9876543210", "sita@", "Sita"):
        assert secret not in facts


def test_whoever_is_made_without_a_password_has_none(connection):
    create(connection, password="")
    assert queries.password_hash(connection, "IUP_SITA1") == ""


def test_the_same_request_again_is_the_same_user_and_another_one_is_refused(connection, posted):
    made = create(connection)
    assert create(connection, mobile="9876543210") == made
    before = changes(connection)
    assert create(connection, here=HERE.__class__(HERE.state, HERE.geography, TODAY + timedelta(days=1))) == made
    assert changes(connection) == before
    assert len(posted) == 1
    for other in (
        {"full_name": "Gita"},
        {"mobile": "9876543211"},
        {"region": GP},
        {"role": "VO_BOOKKEEPER"},
        {"email": "a@b.in"},
        {"language": "hi"},
    ):
        assert refusal(lambda other=other: create(connection, **other)) == "USER_EXISTS"


@pytest.mark.parametrize(
    ("caller", "given", "kind", "code"),
    [
        (DISTRICT_ADMIN, {"role": "BLOCK_ADMIN", "region": "9.179"}, Forbidden, "REGION_NOT_YOURS"),
        (BLOCK_ADMIN, {"region": "9.178.1205"}, Forbidden, "REGION_NOT_YOURS"),
        (BLOCK_ADMIN, {"region": "10.1"}, Forbidden, "REGION_NOT_YOURS"),
        (BLOCK_ADMIN, {"region": ""}, Forbidden, "REGION_NOT_YOURS"),
        (BLOCK_ADMIN, {"region": f"{BLOCK}.99"}, Invalid, "REGION_UNKNOWN"),
        (BLOCK_ADMIN, {"region": f"{BLOCK}.x"}, Invalid, "REGION_INVALID"),
        (STATE_ADMIN, {"role": "DISTRICT_ADMIN", "region": "9"}, Invalid, "REGION_LEVEL"),
        (STATE_ADMIN, {"role": "DISTRICT_ADMIN", "region": BLOCK}, Invalid, "REGION_LEVEL"),
        (NATIONAL_ADMIN, {"role": "NATIONAL_PROGRAM_MANAGER", "region": ""}, Conflict, "NATION_ONLY"),
        (BLOCK_ADMIN, {"role": "QUEEN"}, Invalid, "ROLE_UNKNOWN"),
        (BLOCK_ADMIN, {"user_id": "IBH_SITA1"}, Invalid, "USER_ID_INVALID"),
        (BLOCK_ADMIN, {"password": "short"}, Invalid, "PASSWORD_WEAK"),
        (BLOCK_ADMIN, {"mobile": "12"}, Invalid, "MOBILE_INVALID"),
        (BLOCK_ADMIN, {"full_name": " "}, Invalid, "NAME_MISSING"),
        (BLOCK_ADMIN, {"email": "sita"}, Invalid, "EMAIL_INVALID"),
        (BLOCK_ADMIN, {"email": "sita@example.org\r\nBcc: x@example.org"}, Invalid, "EMAIL_INVALID"),
        (BLOCK_ADMIN, {"email": "s" * 64 + "@" + "e" * 63 + ".in" * 60}, Invalid, "EMAIL_INVALID"),
        (BLOCK_ADMIN, {"language": "ta"}, Invalid, "LANGUAGE_UNKNOWN"),
        (BLOCK_ADMIN, {"side": "VO"}, Invalid, "SIDE_NOT_HERS"),
        (BLOCK_ADMIN, {"role": "SHG_TRANS_APPROVER"}, Invalid, "SIDE_MISSING"),
        (BLOCK_ADMIN, {"role": "VO_TRANS_APPROVER", "side": "VO"}, Invalid, "SIDE_MISSING"),
        (BLOCK_ADMIN, {"institution_ids": [uuid7()]}, NotFound, "INSTITUTION_UNKNOWN"),
        (BLOCK_ADMIN, {"institution_ids": [uuid7() for _ in range(201)]}, Invalid, "INSTITUTIONS_TOO_MANY"),
        (BLOCK_ADMIN, {"role": "BLOCK_THEMATIC_USER", "region": BLOCK, "institution_ids": [uuid7()]}, Invalid, "INSTITUTIONS_NOT_HERS"),
        (BLOCK_ADMIN, {"cluster_ids": [uuid7()]}, Invalid, "CLUSTERS_NOT_HERS"),
        (STATE_ADMIN, {"role": "BLOCK_PROGRAM_MANAGER", "region": BLOCK, "cluster_ids": [uuid7()]}, NotFound, "CLUSTER_UNKNOWN"),
    ],
)
def test_what_a_user_cannot_be(connection, caller, given, kind, code):
    with pytest.raises(kind) as refused:
        create(connection, caller, **given)
    assert refused.value.code == code
    assert refused.value.field
    assert str(refused.value)
    assert queries.user(connection, "IUP_SITA1") is None


REGION_OF = {Level.NATION: "", Level.STATE: "9", Level.DISTRICT: "9.178", Level.BLOCK: BLOCK}


@pytest.mark.parametrize(("maker", "role"), list(product(Role, Role)))
def test_every_role_creates_those_of_the_table_and_nobody_else(maker, role):
    """The rule alone, so that 289 pairs take no time; REGION_OF is where each works."""
    here = NATION if maker in {Role.NATIONAL_ADMIN, Role.NATIONAL_PROGRAM_MANAGER, Role.NATIONAL_THEMATIC_USER} else HERE
    caller = Caller("IUP_MAKER", maker, REGION_OF[LEVEL_OF.get(maker, Level.BLOCK)])
    region = REGION_OF[LEVEL_OF.get(role, Level.BLOCK)]
    side = {Role.SHG_TRANS_APPROVER: "CLF", Role.VO_TRANS_APPROVER: "CLF"}.get(role, "")

    def assign():
        return assignments.assign(caller, here, asked(role, region, side), [], {})

    if role in CREATES.get(maker, ()):
        assert assign() == Assignment(role, region, side=Side(side))
    else:
        assert refusal(assign) == "MAY_NOT_CREATE"


def test_only_the_nation_has_national_admins_and_once_more_is_the_same(connection):
    admin = User("IIN_ADMIN", "Asha Rao", "9876543210", (Assignment(Role.NATIONAL_ADMIN, ""),), TODAY)
    assert refusal(lambda: user.create_national_admin(connection, admin, PASSWORD, "UP")) == "NATION_ONLY"
    made = user.create_national_admin(connection, admin, PASSWORD, "IN")
    assert user.create_national_admin(connection, admin, PASSWORD, "IN") == made
    manager = create(connection, NATIONAL_ADMIN, NATION, user_id="IIN_MANAGER", role="NATIONAL_PROGRAM_MANAGER", region="")
    assert manager.assignments == (Assignment(Role.NATIONAL_PROGRAM_MANAGER, ""),)


# For whom


MAY_BE_MAPPED = {
    ("SHG_BOOKKEEPER", ""): {SHG},
    ("VO_BOOKKEEPER", ""): {VO},
    ("CLF_BOOKKEEPER", ""): {CLF},
    ("SHG_TRANS_APPROVER", "VO"): {VO, SHG},
    ("SHG_TRANS_APPROVER", "CLF"): {CLF, SHG},
    ("VO_TRANS_APPROVER", "CLF"): {CLF, VO},
}


@pytest.mark.parametrize(("role", "side"), MAY_BE_MAPPED)
@pytest.mark.parametrize("kind", [SHG, VO, CLF])
def test_a_role_is_mapped_to_the_kinds_that_it_works_with(connection, role, side, kind):
    one = heard(connection, kind=kind, region=BLOCK)
    if kind in MAY_BE_MAPPED[role, side]:
        [held] = create(connection, role=role, side=side, region=BLOCK, institution_ids=[one]).assignments
        assert (held.institution_ids, held.side) == ({one}, side)
    else:
        assert refusal(lambda: create(connection, role=role, side=side, region=BLOCK, institution_ids=[one])) == "INSTITUTIONS_KIND"


def test_a_user_is_mapped_within_her_makers_sight_and_her_own_block(connection):
    near, far = heard(connection), heard(connection, region="9.178.1205.80.1")
    [held] = create(connection, institution_ids=[near]).assignments
    assert held.institution_ids == {near}
    assert refusal(lambda: create(connection, user_id="IUP_GITA1", institution_ids=[near, far])) == "INSTITUTION_UNKNOWN"
    wide = Caller("IUP_WIDE", Role.BLOCK_ADMIN, "9.178")
    assert refusal(lambda: create(connection, wide, user_id="IUP_GITA1", institution_ids=[far])) == "INSTITUTIONS_ELSEWHERE"


def test_a_block_program_manager_is_in_charge_of_clusters_of_her_block(connection):
    near, far = uuid7(), uuid7()
    connection.execute(insert(clusters), [{"cluster_id": near, "block": BLOCK, "name": "A"}, {"cluster_id": far, "block": "9.178.1205", "name": "B"}])
    given = {"role": "BLOCK_PROGRAM_MANAGER", "region": BLOCK}
    [held] = create(connection, STATE_ADMIN, **given, cluster_ids=[near]).assignments
    assert held.cluster_ids == {near}
    assert refusal(lambda: create(connection, STATE_ADMIN, user_id="IUP_GITA1", **given, cluster_ids=[near, far])) == "CLUSTERS_ELSEWHERE"


def test_a_heavy_load_is_a_warning_as_the_state_says(connection):
    groups = [heard(connection, f"Samooh {number}") for number in range(21)]
    made = create(connection, institution_ids=groups)
    [warning] = assignments.warnings(made.assignments, HERE)
    assert (warning.code, warning.params) == ("LOAD_HIGH", {"count": 21, "kind": "SHG", "most": 20})
    assert assignments.warnings(made.assignments, with_policies(bookkeeper_shgs_max=21)) == []
    less = user.link(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", "SHG_BOOKKEEPER", frozenset(), frozenset(groups[:1]))
    assert assignments.warnings(less.assignments, HERE) == []
    federations = [heard(connection, f"Sangathan {number}", VO, GP) for number in range(2)]
    made = create(connection, user_id="IUP_GITA1", role="VO_BOOKKEEPER", region=GP, institution_ids=federations)
    assert [one.params["count"] for one in assignments.warnings(made.assignments, HERE)] == [2]


# Changed


def test_an_edit_changes_what_is_given_and_a_new_mobile_stales_her_tokens(connection, ended):
    create(connection, email="a@example.org")
    changed = user.edit(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", {"full_name": "Sita  Kumari", "language": "hi"})
    assert (changed.full_name, changed.mobile, changed.email, changed.language, changed.version) == (
        "Sita Kumari",
        "9876543210",
        "a@example.org",
        "hi",
        2,
    )
    assert queries.user(connection, "IUP_SITA1") == changed
    assert ended == []
    changed = user.edit(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", {"mobile": "9876543211", "email": ""})
    assert (changed.mobile, changed.email) == ("9876543211", "")
    assert ended == [("stale", "IUP_SITA1")]
    before = changes(connection)
    assert user.edit(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", {"mobile": "+91 98765 43211"}) == changed
    assert changes(connection) == before
    for wrong, code in (({"full_name": ""}, "NAME_MISSING"), ({"mobile": ""}, "MOBILE_INVALID"), ({"language": "xx"}, "LANGUAGE_UNKNOWN")):
        assert refusal(lambda wrong=wrong: user.edit(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", wrong)) == code


def test_a_role_is_added_moved_and_taken(connection, ended):
    create(connection)
    clf = heard(connection, "Sankul", CLF, BLOCK)
    more = asked("CLF_BOOKKEEPER", BLOCK, institution_ids=[clf])
    changed = user.assign_role(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", more)
    assert changed.assignments == (Assignment(Role.CLF_BOOKKEEPER, BLOCK, frozenset({clf})), Assignment(Role.SHG_BOOKKEEPER, VILLAGE))
    before = changes(connection)
    assert user.assign_role(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", more) == changed
    assert changes(connection) == before
    moved = user.assign_role(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", asked("SHG_BOOKKEEPER", GP))
    assert moved.assignment("SHG_BOOKKEEPER").region == GP
    left = user.remove_role(connection, BLOCK_ADMIN, "IUP_SITA1", "SHG Bookkeeper")
    assert left.roles == {Role.CLF_BOOKKEEPER}
    assert queries.user(connection, "IUP_SITA1") == left
    before = changes(connection)
    assert user.remove_role(connection, BLOCK_ADMIN, "IUP_SITA1", "SHG_BOOKKEEPER") == left
    assert changes(connection) == before
    assert refusal(lambda: user.remove_role(connection, BLOCK_ADMIN, "IUP_SITA1", "CLF_BOOKKEEPER")) == "ROLE_LAST"
    assert ended == [("stale", "IUP_SITA1")] * 3
    assert [change.user_id for change, _, _ in told(connection)] == ["IUP_SITA1"] * 4
    assert [version for _, version, _ in told(connection)] == [1, 2, 3, 4]


def test_the_bookkeepers_of_shgs_and_of_vos_have_ids_of_their_own_unless_the_state_says_otherwise(connection):
    create(connection)
    more = asked("VO_BOOKKEEPER", GP)
    assert refusal(lambda: user.assign_role(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", more)) == "ROLES_APART"
    together = with_policies(bookkeeper_ids_apart=0)
    both = user.assign_role(connection, BLOCK_ADMIN, together, "IUP_SITA1", more)
    assert both.roles == {Role.SHG_BOOKKEEPER, Role.VO_BOOKKEEPER}
    # Whoever has both from before keeps both, and may be moved.
    assert user.assign_role(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", asked("VO_BOOKKEEPER", BLOCK)).roles == both.roles


def test_institutions_are_linked_and_unlinked_and_again_nothing_changes(connection, ended):
    one, other, far = heard(connection), heard(connection, "Ekta"), heard(connection, "Door", region="9.178.1205.80.1")
    create(connection, institution_ids=[one])

    def link(more=(), less=(), role="SHG_BOOKKEEPER"):
        return user.link(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", role, frozenset(more), frozenset(less))

    changed = link([other], [one])
    assert changed.assignment("SHG_BOOKKEEPER").institution_ids == {other}
    assert queries.user(connection, "IUP_SITA1") == changed
    before = changes(connection)
    assert link([other], [one]) == changed
    assert changes(connection) == before
    assert ended == [("stale", "IUP_SITA1")]
    assert refusal(lambda: link([far])) == "INSTITUTION_UNKNOWN"
    assert refusal(lambda: link([uuid7()])) == "INSTITUTION_UNKNOWN"
    assert refusal(lambda: link([one], [one])) == "INSTITUTIONS_BOTH"
    assert refusal(lambda: link([one], role="VO_BOOKKEEPER")) == "ROLE_NOT_HERS"
    assert refusal(lambda: link([heard(connection, "Sangathan", VO, GP)])) == "INSTITUTIONS_KIND"


def test_a_password_set_by_another_ends_her_sessions_and_the_same_again_does_not(connection, ended, posted):
    create(connection)
    posted.clear()
    user.set_password(connection, BLOCK_ADMIN, "IUP_SITA1", "seven blue herons")
    assert password.is_right("seven blue herons", queries.password_hash(connection, "IUP_SITA1"))
    assert ended == [("PASSWORD_SET", "IUP_SITA1")]
    assert [one[:2] for one in posted] == [("password_changed", "IUP_SITA1")]
    before = changes(connection)
    user.set_password(connection, BLOCK_ADMIN, "IUP_SITA1", "seven blue herons")
    assert (changes(connection), len(ended), len(posted)) == (before, 1, 1)
    assert refusal(lambda: user.set_password(connection, BLOCK_ADMIN, "IUP_SITA1", "short")) == "PASSWORD_WEAK"
    assert "herons" not in str(connection.execute(select(audit.audit.c.facts)).all())


def test_a_user_is_stopped_let_in_again_and_deleted_for_ever(connection, ended, posted):
    create(connection)
    posted.clear()

    def set_status(status, reason=""):
        return user.set_status(connection, BLOCK_ADMIN, "IUP_SITA1", status, reason)

    assert refusal(lambda: set_status(Status.INACTIVE)) == "REASON_MISSING"
    assert refusal(lambda: set_status(Status.INACTIVE, "\0 \n")) == "REASON_MISSING"
    assert refusal(lambda: set_status(Status.DELETED, "x" * 201)) == "REASON_TOO_LONG"
    stopped = set_status(Status.INACTIVE, "on leave\0 until spring")
    assert (queries.user(connection, "IUP_SITA1"), stopped.status) == (stopped, Status.INACTIVE)
    assert told(connection)[-1][0].active is False
    before = changes(connection)
    assert set_status(Status.INACTIVE, "another word for it") == stopped
    assert changes(connection) == before
    assert set_status(Status.ACTIVE).status is Status.ACTIVE
    gone = set_status(Status.DELETED, "left the mission")
    assert set_status(Status.DELETED, "left the mission") == gone
    assert refusal(lambda: set_status(Status.ACTIVE)) == "USER_DELETED"
    assert refusal(lambda: set_status(Status.INACTIVE, "why not")) == "USER_DELETED"
    assert refusal(lambda: user.edit(connection, BLOCK_ADMIN, HERE, "IUP_SITA1", {"full_name": "Gita"})) == "USER_DELETED"
    assert refusal(lambda: user.set_password(connection, BLOCK_ADMIN, "IUP_SITA1", "seven blue herons")) == "USER_DELETED"
    assert refusal(lambda: create(connection)) == "USER_EXISTS", "her id is never given again"
    assert ended == [("INACTIVE", "IUP_SITA1"), ("DELETED", "IUP_SITA1")]
    assert [one[0] for one in posted] == ["account_stopped", "account_stopped"]
    assert len({key for _, _, key in posted}) == 2
    stops = select(audit.audit.c.facts["reason"]).where(audit.audit.c.action == "user.inactive").order_by(audit.audit.c.id.desc()).limit(1)
    assert connection.execute(stops).scalar() == "on leave until spring"


CHANGES = {
    "edit": lambda connection, caller, user_id: user.edit(connection, caller, HERE, user_id, {"full_name": "Gita Devi"}),
    "assign": lambda connection, caller, user_id: user.assign_role(connection, caller, HERE, user_id, asked("CLF_BOOKKEEPER", BLOCK)),
    "remove": lambda connection, caller, user_id: user.remove_role(connection, caller, user_id, "CLF_BOOKKEEPER"),
    "link": lambda connection, caller, user_id: user.link(connection, caller, HERE, user_id, "SHG_BOOKKEEPER", frozenset(), frozenset()),
    "password": lambda connection, caller, user_id: user.set_password(connection, caller, user_id, "seven blue herons"),
    "status": lambda connection, caller, user_id: user.set_status(connection, caller, user_id, Status.DELETED, "she left"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_whoever_may_not_make_her_may_not_change_her(connection, change):
    create(connection)
    create(connection, DISTRICT_ADMIN, user_id="IUP_BOSS1", role="BLOCK_ADMIN", region=BLOCK)
    next_door = Caller("IUP_BLOCK2", Role.BLOCK_ADMIN, "9.178.1205")
    before = changes(connection)
    assert refusal(lambda: change(connection, next_door, "IUP_SITA1")) in {"USER_UNKNOWN", "REGION_NOT_YOURS"}
    assert refusal(lambda: change(connection, BLOCK_ADMIN, "IUP_NOBODY")) == "USER_UNKNOWN"
    assert refusal(lambda: change(connection, BLOCK_ADMIN, "IUP_\0")) == "USER_UNKNOWN"
    assert refusal(lambda: change(connection, BLOCK_ADMIN, "IUP_BOSS1")) == "MAY_NOT_CREATE"
    assert refusal(lambda: change(connection, Caller("IUP_BLOCK1", Role.BLOCK_PROGRAM_MANAGER, BLOCK), "IUP_SITA1")) == "MAY_NOT_CREATE"
    assert changes(connection) == before
    # A second role that the caller may not give puts her out of reach, and so does a place that the caller does not see.
    held = queries.user(connection, "IUP_SITA1")
    for more, code in (
        (Assignment(Role.DISTRICT_THEMATIC_USER, "9.178"), "MAY_NOT_CREATE"),
        (Assignment(Role.VO_BOOKKEEPER, "9.178.1205"), "REGION_NOT_YOURS"),
    ):
        user.change(connection, STATE_ADMIN, "test", rules.User(**{**_fields(held), "assignments": (*held.assignments, more)}))
        assert refusal(lambda: change(connection, BLOCK_ADMIN, "IUP_SITA1")) == code


def _fields(one):
    return {name: getattr(one, name) for name in User.__slots__}


def test_the_operator_stops_whom_nobody_in_the_state_may(connection, monkeypatch, capsys, ended):
    admin = User("IUP_ADMIN1", "Asha Rao", "9876543210", (Assignment(Role.STATE_ADMIN, "9"),), TODAY)
    user.add(connection, STATE_ADMIN, admin, "")
    assert refusal(lambda: user.set_status(connection, STATE_ADMIN, "IUP_ADMIN1", Status.INACTIVE, "why")) == "MAY_NOT_CREATE"

    class Open:
        def __enter__(self):
            return connection

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(command_line, "transaction", Open)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["identity", *arguments])
        return command_line.main()

    for _ in range(2):
        assert run("stop-user", "--user-id", "IUP_ADMIN1", "--reason", "left the mission") == 0
        assert "IUP_ADMIN1 is inactive" in capsys.readouterr().out
    assert queries.user(connection, "IUP_ADMIN1").status is Status.INACTIVE
    stops = select(audit.audit.c.user_id, audit.audit.c.role, audit.audit.c.facts["reason"]).order_by(audit.audit.c.id.desc()).limit(1)
    assert connection.execute(stops).one() == ("operator", "", "left the mission")
    assert ended == [("INACTIVE", "IUP_ADMIN1")]
    assert run("stop-user", "--user-id", "IUP_NOBODY", "--reason", "left the mission") == 1
    assert run("stop-user", "--user-id", "IUP_ADMIN1", "--reason", " ") == 1
    assert "Say why" in capsys.readouterr().err


# Found


def populate(connection):
    vo = heard(connection, "Sangathan", VO, GP)
    create(connection, user_id="IUP_A01")
    create(connection, user_id="IUP_B02", mobile="9123456780", role="VO_BOOKKEEPER", region=GP, institution_ids=[vo])
    create(connection, user_id="IUP_C03", role="SHG_TRANS_APPROVER", side="VO", region=BLOCK)
    create(connection, user_id="IUP_C04", role="SHG_TRANS_APPROVER", side="CLF", region=BLOCK)
    create(connection, DISTRICT_ADMIN, user_id="IUP_D05", role="BLOCK_ADMIN", region="9.178.1205")
    create(connection, STATE_ADMIN, user_id="IUP_E06", role="STATE_PROGRAM_MANAGER", region="9")
    # Two roles: in one she is of the block and in the other of the district.
    two = (Assignment(Role.BLOCK_THEMATIC_USER, BLOCK), Assignment(Role.DISTRICT_THEMATIC_USER, "9.178"))
    user.add(connection, STATE_ADMIN, User("IUP_F07", "Two Roles", "9876543210", two, TODAY), "")
    create(connection, user_id="IUP_G08")
    user.set_status(connection, BLOCK_ADMIN, "IUP_G08", Status.INACTIVE, "on leave")
    create(connection, user_id="IUP_H09")
    user.set_status(connection, BLOCK_ADMIN, "IUP_H09", Status.DELETED, "left")


@pytest.mark.parametrize(
    ("caller", "filters", "found"),
    [
        (STATE_ADMIN, {}, "A01 B02 C03 C04 D05 E06 F07 G08"),
        (BLOCK_ADMIN, {}, "A01 B02 C03 C04 F07 G08"),
        (Caller("IUP_X", Role.BLOCK_ADMIN, "9.17"), {}, ""),
        (NATIONAL_ADMIN, {}, "A01 B02 C03 C04 D05 E06 F07 G08"),
        (STATE_ADMIN, {"region": BLOCK}, "A01 B02 C03 C04 F07 G08"),
        (STATE_ADMIN, {"region": "9.178.1205"}, "D05"),
        (STATE_ADMIN, {"category": "STATE"}, "E06"),
        (STATE_ADMIN, {"category": "BLOCK"}, "D05 F07"),
        (STATE_ADMIN, {"category": "SHG"}, "A01 G08"),
        (STATE_ADMIN, {"category": "VO"}, "B02 C03"),
        (STATE_ADMIN, {"category": "CLF"}, "C04"),
        (STATE_ADMIN, {"category": "NATIONAL"}, ""),
        (STATE_ADMIN, {"category": "CLF", "role": "SHG Trans Approver"}, "C04"),
        (STATE_ADMIN, {"category": "SHG", "role": "SHG Trans Approver"}, ""),
        (STATE_ADMIN, {"role": "SHG Meeting & Transaction Approver"}, "C03 C04"),
        (STATE_ADMIN, {"role": "BLOCK_THEMATIC_USER"}, "F07"),
        (STATE_ADMIN, {"role": "DISTRICT_THEMATIC_USER"}, "F07"),
        # Not the one role of hers for the region and the other for the name.
        (STATE_ADMIN, {"role": "DISTRICT_THEMATIC_USER", "region": BLOCK}, ""),
        (STATE_ADMIN, {"category": "DISTRICT", "region": BLOCK}, ""),
        (STATE_ADMIN, {"user_id_or_mobile": "IUP_C"}, "C03 C04"),
        (STATE_ADMIN, {"user_id_or_mobile": " iup_b02 "}, "B02"),
        (STATE_ADMIN, {"user_id_or_mobile": "IUP"}, "A01 B02 C03 C04 D05 E06 F07 G08"),
        (STATE_ADMIN, {"user_id_or_mobile": "IBH_"}, ""),
        (STATE_ADMIN, {"user_id_or_mobile": "+91 91234 56780"}, "B02"),
        (DISTRICT_ADMIN, {"user_id_or_mobile": "9123456781"}, ""),
        (STATE_ADMIN, {"status": Status.INACTIVE}, "G08"),
        (STATE_ADMIN, {"status": Status.DELETED}, "H09"),
        (STATE_ADMIN, {"status": Status.ACTIVE, "region": VILLAGE}, "A01"),
    ],
)
def test_a_list_is_bounded_and_narrowed(connection, caller, filters, found):
    populate(connection)
    plain = {"region": "", "category": "", "role": "", "user_id_or_mobile": "", "status": None}
    shown = queries.list_users(connection, rules.search(caller, **plain | filters), "", 50)
    assert [one.user_id.removeprefix("IUP_") for one in shown] == found.split()


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"region": "9.179"}, "REGION_NOT_YOURS"),
        ({"region": "x"}, "REGION_INVALID"),
        ({"category": "VILLAGE"}, "CATEGORY_UNKNOWN"),
        ({"role": "QUEEN"}, "ROLE_UNKNOWN"),
        ({"user_id_or_mobile": "98765"}, "MOBILE_INVALID"),
        ({"user_id_or_mobile": "%"}, "MOBILE_INVALID"),
    ],
)
def test_a_filter_that_is_none_is_refused(filters, code):
    plain = {"region": "", "category": "", "role": "", "user_id_or_mobile": "", "status": None}
    assert refusal(lambda: rules.search(DISTRICT_ADMIN, **plain | filters)) == code


def test_a_list_goes_page_by_page_in_two_statements(connection):
    populate(connection)
    pages, after = [], ""
    statements = []
    event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
    while page := queries.list_users(connection, Search(("9",)), after, 3):
        pages.append([one.user_id[4:] for one in page])
        after = page[-1].user_id
    assert pages == [["A01", "B02", "C03"], ["C04", "D05", "E06"], ["F07", "G08"]]
    assert len(statements) == 2 * (len(pages) + 1)


def test_users_are_told_anew_to_one_hearer_the_deleted_too(connection):
    populate(connection)
    assert [one.user_id for one in user.restate_users(connection, "reporting", "IUP_F07", 500)] == ["IUP_G08", "IUP_H09"]
    change, version, to = told(connection)[-1]
    assert (change.user_id, change.active, version, to) == ("IUP_H09", False, 2, "reporting")
    assert user.restate_users(connection, "reporting", "IUP_H09", 500) == []


def test_a_search_in_a_large_state_uses_its_indexes(connection):
    """By what the planner chooses among twenty thousand users in a hundred blocks."""
    connection.execute(text("set local plan_cache_mode = force_custom_plan"))
    connection.execute(
        text(
            "insert into users (user_id, full_name, mobile, password_hash, status, made_on, version)"
            " select 'IUP_MANY' || n, 'x', (9000000000 + n)::text, '', 'ACTIVE', '2026-01-01', 1 from generate_series(1, 20000) n"
        )
    )
    connection.execute(
        text(
            "insert into user_roles (user_id, role, region)"
            " select 'IUP_MANY' || n, 'SHG_BOOKKEEPER', '9.178.' || (n % 100) || '.1.1' from generate_series(1, 20000) n"
        )
    )
    connection.execute(text("analyze users"))
    connection.execute(text("analyze user_roles"))

    def plan(search, after=""):
        lines = []

        def explain(_connection, cursor, statement, parameters, _context, _many):
            if statement.lstrip().startswith("SELECT users."):
                cursor.execute("explain " + statement, parameters)
                lines.extend(line for (line,) in cursor.fetchall())

        event.listen(connection, "before_cursor_execute", explain)
        queries.list_users(connection, search, after, 50)
        event.remove(connection, "before_cursor_execute", explain)
        return "\n".join(lines)

    assert "user_roles_region" in plan(Search(("9.178.7",)))  # How it then comes to the users, it may choose by their number.
    assert "users_mobile" in plan(Search(("9",), mobile="9000000007"))
    for search in (Search(("9",)), Search(("9",), user_id_begins="IUP_MANY77")):
        assert "users_pkey" in plan(search, "IUP_MANY5")


# Shown


@pytest.fixture
def servicer(up):
    interceptors._caller.set(Caller("IUP_SVC", Role.STATE_ADMIN, "9"))
    return Servicer()


def test_the_roles_are_listed_with_their_labels_and_aliases(servicer):
    answer = servicer.ListRoles(identity_pb2.ListRolesRequest(), None)
    assert [one.role for one in answer.roles] == list(Role)
    [manager] = [one for one in answer.roles if one.role == "BLOCK_PROGRAM_MANAGER"]
    assert (manager.label, list(manager.aliases)) == ("Block Program Manager", ["Block Mission Manager", "BPM", "BMM"])


@pytest.fixture
def kept(up):
    """Users who are there for the servicer, which has transactions of its own, and gone afterwards."""
    with database.transaction(SERVICE) as own:
        nobody(own)
        create(own, user_id="IUP_SITA1", email="sita@example.org", language="hi")
        create(own, Caller("IUP_NEXT", Role.BLOCK_ADMIN, "9.178.1205"), user_id="IUP_NEXT1", region="9.178.1205")
    yield
    with database.transaction(SERVICE) as own:
        nobody(own)


def test_a_user_is_shown_without_her_mobile_and_the_read_is_on_record(kept, servicer):
    interceptors._caller.set(BLOCK_ADMIN)
    shown = servicer.GetUser(identity_pb2.GetUserRequest(user_id="IUP_SITA1"), None)
    assert (shown.mobile_masked, shown.email, shown.language, shown.status) == (
        "XXXXXX3210",
        "sita@example.org",
        "hi",
        identity_pb2.USER_STATUS_ACTIVE,
    )
    assert [(one.role, one.region) for one in shown.assignments] == [("SHG_BOOKKEEPER", VILLAGE)]
    page = servicer.ListUsers(identity_pb2.ListUsersRequest(role="SHG Bookkeeper", user_id_or_mobile="9876543210"), None)
    assert list(page.users) == [shown]
    for unseen in ("IUP_NEXT1", "IUP_NOBODY", "", "IUP_\0"):
        assert refusal(lambda unseen=unseen: servicer.GetUser(identity_pb2.GetUserRequest(user_id=unseen), None)) == "USER_UNKNOWN"
    for wrong in ({"status": 9}, {"page": {"after": "x"}}, {"page": {"size": 501}}):
        assert refusal(lambda wrong=wrong: servicer.ListUsers(identity_pb2.ListUsersRequest(**wrong), None)) in {"STATUS_UNKNOWN", "PAGE_INVALID"}
    servicer.reads.stop()
    with database.transaction(SERVICE) as own:
        seen = own.execute(select(audit.audit.c.action, audit.audit.c.subjects).order_by(audit.audit.c.id.desc()).limit(2)).all()
    assert seen == [("user.list", ["IUP_SITA1"]), ("user.get", ["IUP_SITA1"])]


def test_what_is_not_given_in_an_edit_stays_and_what_is_given_empty_goes(kept, servicer):
    interceptors._caller.set(BLOCK_ADMIN)
    shown = servicer.EditUser(identity_pb2.EditUserRequest(user_id="IUP_SITA1", email=""), None)
    assert (shown.full_name, shown.email, shown.language) == ("Sita Devi", "", "hi")
    assert refusal(lambda: servicer.SetUserStatus(identity_pb2.SetUserStatusRequest(user_id="IUP_SITA1"), None)) == "STATUS_MISSING"
    stopped = servicer.SetUserStatus(
        identity_pb2.SetUserStatusRequest(user_id="IUP_SITA1", status=identity_pb2.USER_STATUS_INACTIVE, reason="on leave"), None
    )
    assert stopped.status == identity_pb2.USER_STATUS_INACTIVE


def test_of_two_who_change_her_at_once_neither_is_lost(kept):
    from threading import Barrier, Thread

    both = Barrier(2)

    def change(given):
        with database.transaction(SERVICE) as own:
            both.wait(10)
            user.edit(own, BLOCK_ADMIN, HERE, "IUP_SITA1", given)

    threads = [Thread(target=change, args=(given,)) for given in ({"full_name": "Sita Kumari"}, {"language": "en"})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.transaction(SERVICE) as own:
        there = queries.user(own, "IUP_SITA1")
        own.execute(update(users).where(users.c.user_id == "IUP_SITA1").values(full_name="Sita Devi"))
    assert (there.full_name, there.language, there.version) == ("Sita Kumari", "en", 3)
