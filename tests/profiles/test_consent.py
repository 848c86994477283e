"""What a member withdraws is forgotten in her record, in whatever order it is heard, and nothing else."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
from sqlalchemy import select

from protos import identity_pb2, profiles_pb2
from protos.common_pb2 import Envelope
from protos.transactions_pb2 import LoanBooked
from services.chassis.hears import hearings, run_new
from services.kernel.approval import Status
from services.kernel.ids import derived, uuid7
from services.profiles import consumer, queries
from services.profiles.commands import alert, image, life, member
from services.profiles.commands.evidence import NAMES, columns
from services.profiles.rules import image as image_rules
from services.profiles.rules.alert import Outcome
from services.profiles.rules.evidence import Verified
from services.profiles.tables import history, image_uses, images, withdrawals
from tests.profiles.builders import (
    SERVICE,
    TODAY,
    approve,
    code_of,
    edited,
    emptied,
    enrol,
    events,
    last,
    live_at_once,
    new_shg,
    screen,
    submit,
)
from tests.profiles.test_alerts import booked
from tests.profiles.test_image import jpeg

pytestmark = pytest.mark.usefixtures("land")

HEARINGS = {one.event: one for one in hearings(SERVICE)}
AT = datetime(2026, 4, 2, 9, tzinfo=UTC)


@pytest.fixture
def connection(connection):
    return emptied(connection)


@pytest.fixture
def shg(connection):
    shg_id, maker = new_shg(connection)
    live_at_once(connection, shg_id)
    return shg_id, maker


def heard(connection, message, version):
    """As the relay of identity publishes it; how many were new."""
    name = message.DESCRIPTOR.name
    envelope = Envelope(source="identity", event=name, subject=message.member_id, sequence=version, version=version, body=message.SerializeToString())
    envelope.event_id = str(derived(name, message.member_id, version))
    envelope.occurred_at.FromDatetime(AT)
    return run_new(HEARINGS[name], consumer.Consumer(), connection, [envelope])


def withdraws(connection, member_id, purpose, *consent_ids, version=2, at=AT):
    message = identity_pb2.ConsentWithdrawn(member_id=str(member_id), purpose=purpose, consent_ids=map(str, consent_ids))
    message.withdrawn_at.FromDatetime(at)
    return heard(connection, message, version)


def renews(connection, member_id, purpose, version=3):
    return heard(connection, identity_pb2.ConsentRenewed(member_id=str(member_id), purpose=purpose), version)


def evidence(token="token-1", consent_id=None):
    return member.Evidence(token, 1979, "F", str(consent_id or uuid7()))


# --- What was verified of her


def test_who_withdraws_before_she_is_let_in_is_as_if_never_verified(connection, shg):
    by = uuid7()
    made = submit(connection, shg[1], shg[0], evidence=evidence(consent_id=by))
    assert made.waiting.evidence_consent_id == by
    assert made.waiting.identity_notes == ["BIRTH_YEAR"]
    assert [withdraws(connection, made.row.id, "AADHAAR_ONLINE", by) for _ in range(2)] == [1, 0]
    waiting = queries.submission(connection, made.row.id)
    assert {name: getattr(waiting, name) for name in NAMES} == columns({}, Verified())
    told, version = last(connection, profiles_pb2.MemberSubmitted)
    assert (told.identity_token, told.identity_withdrawn, told.revision) == ("", True, 1)
    assert version == made.row.version + 1
    assert not last(connection, profiles_pb2.MemberChanged)[0].identity_verified
    screen(connection, submit(connection, shg[1], shg[0], made.row.id))  # The same again is still the same.
    assert approve(connection, made.row.id).row.identity_token is None


@pytest.mark.parametrize("edit", [None, "hers", "another's"])
def test_what_is_live_and_what_waits_beside_it_forget_what_rested_on_it_alone(connection, shg, edit):
    by, other = uuid7(), uuid7()
    made = enrol(connection, shg[1], shg[0], evidence=evidence(consent_id=by))
    assert (made.row.identity_token, made.row.evidence_consent_id) == ("token-1", by)
    if edit:
        newer = evidence("token-2", other) if edit == "another's" else None
        changed = edited(made, name="Sunita")
        member.submit(connection, shg[1], made.row.id, 2, changed, newer, TODAY)
    withdraws(connection, made.row.id, "AADHAAR_ONLINE", by)
    now = queries.member_for_update(connection, made.row.id)
    assert (now.row.identity_token, now.row.attested_birth_year, now.row.status) == (None, 0, Status.ACTIVE)
    if edit:
        assert now.waiting.identity_token == ("token-2" if edit == "another's" else None)
    told, _ = last(connection, profiles_pb2.MemberSubmitted)
    assert told.identity_withdrawn
    assert told.identity_token == ("token-2" if edit == "another's" else "")
    assert told.revision == (2 if edit else 1)


def test_a_withdrawal_of_another_consent_or_purpose_changes_nothing_of_what_was_verified(connection, shg):
    by = uuid7()
    made = enrol(connection, shg[1], shg[0], evidence=evidence(consent_id=by))
    before = len(events(connection))
    for purpose, ended in (("AADHAAR_ONLINE", uuid7()), ("AADHAAR_QR", uuid7()), ("BANK_SHARING", by), ("MESSAGES", by)):
        withdraws(connection, made.row.id, purpose, ended, version=2 + len(purpose))
    assert queries.member_for_update(connection, made.row.id).row.identity_token == "token-1"
    assert len(events(connection)) == before


def test_what_was_verified_before_consents_were_recorded_goes_with_the_first_withdrawal(connection, shg):
    made = enrol(connection, shg[1], shg[0], evidence=member.Evidence("token-1", 1979, "F"))
    withdraws(connection, made.row.id, "AADHAAR_ONLINE", uuid7())
    assert queries.member_for_update(connection, made.row.id).row.identity_token is None


def test_an_attestation_that_was_on_its_way_when_she_withdrew_comes_too_late(connection, shg):
    shg_id, maker = shg
    by, her = uuid7(), uuid7()
    withdraws(connection, her, "AADHAAR_ONLINE", by)  # Nobody has handed her in yet.
    assert code_of(submit, connection, maker, shg_id, her, evidence=evidence(consent_id=by)) == "CONSENT_WITHDRAWN"
    assert queries.member_for_update(connection, her) is None
    renews(connection, her, "AADHAAR_ONLINE")
    assert code_of(submit, connection, maker, shg_id, her, evidence=evidence(consent_id=by)) == "CONSENT_WITHDRAWN"
    made = submit(connection, maker, shg_id, her, evidence=evidence())
    assert made.waiting.identity_token == "token-1"


def test_what_was_stored_before_she_withdrew_may_be_sent_again(connection, shg):
    by = uuid7()
    proof = evidence(consent_id=by)
    made = submit(connection, shg[1], shg[0], evidence=proof)
    withdraws(connection, made.row.id, "AADHAAR_ONLINE", by)
    again = submit(connection, shg[1], shg[0], made.row.id, evidence=proof)
    assert (again.waiting.revision, again.waiting.identity_token) == (1, None)


def test_an_act_of_life_that_waits_says_nothing_of_who_she_is(connection, shg):
    by = uuid7()
    made = enrol(connection, shg[1], shg[0], evidence=evidence(consent_id=by))
    life.submit(connection, shg[1], queries.MEMBER, made.row.id, 2, {"act": "LEAVE", "on": TODAY.isoformat(), "reason": "VOLUNTARY"}, TODAY)
    withdraws(connection, made.row.id, "AADHAAR_ONLINE", by)
    assert queries.member_for_update(connection, made.row.id).row.identity_token is None
    told, _ = last(connection, profiles_pb2.MemberSubmitted)
    assert (told.revision, told.identity_withdrawn) == (1, True)


# --- Her photograph


def put(connection, shg, content, at):
    """A picture of a woman of this SHG; what a profile says of it."""
    shg_id, maker = shg
    image_id = image.begin(connection, maker, shg_id, image_rules.inspect(content), at)
    row = image.finish(connection, maker, image_id, "0123abcd", at)
    return {"image_id": str(image_id), "media_type": row.media_type, "size_bytes": row.size_bytes, "sha256": row.sha256.hex()}


def is_erased(connection, photo):
    return connection.execute(select(images.c.erasing_at).where(images.c.id == UUID(photo["image_id"]))).scalar_one() is not None


def test_her_photograph_goes_out_of_all_that_was_ever_handed_in_of_her(connection, shg):
    before = AT - timedelta(days=1)
    first, second = (put(connection, shg, jpeg(after=name), before) for name in (b"first", b"second"))
    form, others = (put(connection, shg, jpeg(after=name), before) for name in (b"form", b"others"))
    made = enrol(connection, shg[1], shg[0], photo=first, consent_form=form)
    other = enrol(connection, shg[1], shg[0], name="Another Woman", photo=others)
    changed = submit(connection, shg[1], shg[0], made.row.id, 2, photo=second, consent_form=form)
    screen(connection, changed)
    live = approve(connection, made.row.id, 2)
    member.submit(connection, shg[1], made.row.id, 3, edited(live, name="Sunita"), None, TODAY)
    version = queries.member_for_update(connection, made.row.id).row.version
    assert [withdraws(connection, made.row.id, "PHOTO", uuid7()) for _ in range(2)] == [1, 0]
    now = queries.member_for_update(connection, made.row.id)
    past = connection.execute(select(history.c.content).where(history.c.record_id == made.row.id)).scalars()
    contents = [now.row.content, now.waiting.content, now.waiting.previous, *past]
    assert not any("photo" in one for one in contents if one)
    assert now.row.content["consent_form"]["image_id"] == form["image_id"]
    assert (now.row.version, now.row.status) == (version, Status.ACTIVE)
    assert [is_erased(connection, one) for one in (first, second, form, others)] == [True, True, False, False]
    named = set(connection.execute(select(image_uses.c.image_id).where(image_uses.c.record_id == made.row.id)).scalars())
    assert named == {UUID(form["image_id"])}
    assert set(image.to_erase(connection, AT)) == {UUID(first["image_id"]), UUID(second["image_id"])}
    assert queries.member_for_update(connection, other.row.id).row.content["photo"]
    # What waits may be sent again as it was; what waits is let in without it.
    again = member.submit(connection, shg[1], made.row.id, 3, edited(live, name="Sunita"), None, TODAY)
    assert "photo" not in again.waiting.content
    screen(connection, again)
    assert "photo" not in approve(connection, made.row.id, 3).row.content


def test_an_edit_with_a_photograph_of_before_comes_too_late_and_one_taken_since_is_another(connection, shg):
    day = timedelta(days=1)
    old, loose, new = (put(connection, shg, jpeg(after=name), at) for name, at in ((b"a", AT - day), (b"b", AT - day), (b"c", AT + day)))
    made = enrol(connection, shg[1], shg[0], photo=old)
    withdraws(connection, made.row.id, "PHOTO", uuid7())
    assert code_of(submit, connection, shg[1], shg[0], made.row.id, 2, photo=old) == "CONSENT_WITHDRAWN"
    assert code_of(submit, connection, shg[1], shg[0], made.row.id, 2, photo=loose) == "CONSENT_WITHDRAWN"
    renews(connection, made.row.id, "PHOTO")
    kept = submit(connection, shg[1], shg[0], made.row.id, 2, photo=new)
    assert kept.waiting.content["photo"]["image_id"] == new["image_id"]
    withdraws(connection, made.row.id, "PHOTO", uuid7(), version=1)  # An earlier one, that comes late.
    assert queries.submission(connection, made.row.id).content["photo"]["image_id"] == new["image_id"]


def test_a_picture_that_two_records_name_stays_the_others(connection, shg):
    shared = put(connection, shg, jpeg(after=b"both"), AT - timedelta(days=1))
    hers, others = (enrol(connection, shg[1], shg[0], name=name, photo=shared) for name in ("One Woman", "Other Woman"))
    withdraws(connection, hers.row.id, "PHOTO", uuid7())
    assert "photo" not in queries.member_for_update(connection, hers.row.id).row.content
    assert queries.member_for_update(connection, others.row.id).row.content["photo"]
    assert not is_erased(connection, shared)


# --- Messages


def outcome(connection, member_id, shg_id):
    return alert.loan_booked(connection, LoanBooked.FromString(booked(member_id, shg_id).body), AT)


def test_who_withdrew_from_messages_is_not_told_of_and_her_phone_stays_here(connection, shg):
    made = enrol(connection, shg[1], shg[0])
    assert outcome(connection, made.row.id, shg[0]) is Outcome.TOLD
    assert last(connection, profiles_pb2.LoanAlertDue)[0].member_id == str(made.row.id)
    told = len(events(connection, "LoanAlertDue"))
    withdraws(connection, made.row.id, "MESSAGES", uuid7())
    assert outcome(connection, made.row.id, shg[0]) is Outcome.REFUSED
    assert len(events(connection, "LoanAlertDue")) == told
    renews(connection, made.row.id, "MESSAGES")
    assert outcome(connection, made.row.id, shg[0]) is Outcome.TOLD


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_last_word_counts_whichever_is_heard_last_and_all_that_ended_is_known(connection, order):
    her, first, second = uuid7(), uuid7(), uuid7()
    steps = [
        lambda: withdraws(connection, her, "MESSAGES", first, version=2),
        lambda: renews(connection, her, "MESSAGES", version=3),
        lambda: withdraws(connection, her, "MESSAGES", second, version=4, at=AT + timedelta(days=1)),
    ]
    for step in order:
        steps[step]()
    row = connection.execute(select(withdrawals).where(withdrawals.c.member_id == her)).one()
    assert (row.stands, row.version, row.withdrawn_at, set(row.consent_ids)) == (True, 4, AT + timedelta(days=1), {first, second})
    renews(connection, her, "MESSAGES", version=5)
    assert not queries.withdrawn(connection, her)["MESSAGES"].stands
