"""Uploads: kept as they come, carried out item by item, once, whatever is killed; and answered to whoever sent them."""

import contextvars
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update

from protos import profiles_pb2
from services.chassis import audit, database, ended, interceptors, tokens
from services.chassis.jobs import jobs
from services.chassis.mailbox import outbox
from services.kernel import geography
from services.kernel.caller import OPERATOR, Caller, Role, Session
from services.kernel.errors import Refused
from services.kernel.ids import derived, uuid7
from services.profiles import jobs as profile_jobs
from services.profiles.commands import legacy
from services.profiles.rules import batch as rules
from services.profiles.rules.batch import ItemKind
from services.profiles.servicer import Servicer
from services.profiles.tables import account_checks, institutions, members, provenance, submissions, upload_items, uploads

SERVICE = "profiles"
BLOCK = "9.178.1598"
VILLAGE = f"{BLOCK}.998.9981"
UPLOADED = profiles_pb2.STATUS_SUBMITTED


@pytest.fixture(autouse=True)
def lie_of_the_land(up, tmp_path, monkeypatch):
    path = tmp_path / "geography.csv"
    paths = ("9", "9.178", BLOCK, f"{BLOCK}.998", VILLAGE)
    geography.save(path, [geography.Place(place, place, "", date(1900, 1, 1)) for place in paths])
    monkeypatch.setenv("LOKOS_GEOGRAPHY_FILE", str(path))
    yield
    with database.transaction(SERVICE) as connection:
        places = [table.c.region == VILLAGE for table in (members, institutions)]
        made = connection.execute(select(members.c.id).where(places[0]).union(select(institutions.c.id).where(places[1]))).scalars().all()
        connection.execute(delete(jobs).where(jobs.c.name.in_(["carry_out_upload", "check_account"])))
        for column in (account_checks.c.record_id, submissions.c.record_id, provenance.c.record_id, members.c.id, institutions.c.id):
            connection.execute(delete(column.table).where(column.in_(made)))
        connection.execute(delete(uploads))


def bookkeeper(*mapped, user=None, role=Role.SHG_BOOKKEEPER, session=None):
    """One of her own, whose uploads no other test counts."""
    who = Caller(user or f"IUP_{random.randrange(10**9)}", role, VILLAGE, frozenset(map(UUID, mapped)), person=f"person of {user}", session=session)
    interceptors._caller.set(who)
    return who


def institution(institution_id=None, revision=1, **changes):
    plain = {
        "institution_id": institution_id or str(uuid7()),
        "revision": revision,
        "kind": profiles_pb2.KIND_SHG,
        "name": f"Ujala {random.randrange(10**9)}",
        "region": VILLAGE,
        "formed_on": "2022-06-03",
        "type": "REGULAR",
        "origin": "NEW",
        "promoted_by": "NRLM",
        "bookkeeper": "NONE",
        "meeting_frequency": "WEEKLY",
        "meeting_weekday": "MONDAY",
        "savings_frequency": "WEEKLY",
        "compulsory_savings_paise": 10_000,
        "seats": [
            {"row_id": str(derived(post)), "body": "OFFICE", "post": post, "member_id": str(uuid7()), "is_signatory": "YES", "from": "2024-06-03"}
            for post in ("PRESIDENT", "SECRETARY", "TREASURER")
        ],
    }
    return profiles_pb2.UploadItem(institution=profiles_pb2.Institution(**plain | changes))


def member(institution_id, member_id=None, attestation="", **changes):
    plain = {
        "member_id": member_id or str(uuid7()),
        "revision": 1,
        "institution_id": institution_id,
        "name": "Sunita Devi",
        "gender": "FEMALE",
        "birth_year": 1985,
        "relation": "SPOUSE",
        "relation_name": "Ramesh Kumar",
        "marital_status": "MARRIED",
        "social_category": "OBC",
        "religion": "HINDU",
        "minority": "NO",
        "bpl": "YES",
        "joined_on": "2023-04-14",
    }
    of_her = profiles_pb2.Member(**plain | changes)
    return profiles_pb2.UploadItem(member=profiles_pb2.SubmitMemberRequest(member=of_her, attestation=attestation))


def attestation(member_id, life=timedelta(minutes=15)):
    return tokens.sign("kyc", "UP", life, {"sub": member_id, "identity_token": f"token of {member_id}", "birth_year": 1985, "gender": "F"})[0]


def id_of(item):
    return item.institution.institution_id or item.member.member.member_id


def send(*items, upload_id=None):
    upload_id = upload_id or str(uuid7())
    return Servicer().UploadProfiles(profiles_pb2.UploadProfilesRequest(upload_id=upload_id, items=items), None)


def carry_out(status):
    profile_jobs.carry_out_upload.function(SERVICE, {"upload_id": status.upload_id})
    return answer(status)


def answer(status):
    return Servicer().GetUpload(profiles_pb2.GetUploadRequest(upload_id=status.upload_id), None)


def counts(status):
    return status.waiting, status.taken_in, status.refused


def codes(status):
    return [one.refusal.code for one in status.answers]


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code


def stored(table, column, *values):
    with database.reading(SERVICE) as connection:
        return connection.execute(select(table).where(column.in_(values))).all()


# --- What is sent, waits, and is answered


def test_an_upload_is_kept_at_once_and_carried_out_by_work():
    bookkeeper()
    shg = institution()
    woman = member(id_of(shg), attestation=attestation("x"))
    woman.member.attestation = attestation(id_of(woman))
    sent = send(woman, shg)
    assert counts(sent) == (2, 0, 0)
    assert [one.record_id for one in sent.answers] == [id_of(woman), id_of(shg)], "in the order in which they were sent"
    with database.reading(SERVICE) as connection:
        [asked] = connection.execute(select(jobs).where(jobs.c.name == "carry_out_upload")).all()
    assert asked.arguments == {"upload_id": sent.upload_id}
    done = carry_out(sent)
    assert counts(done) == (0, 2, 0), codes(done)
    assert [(one.revision, one.status) for one in done.answers] == [(1, UPLOADED)] * 2
    [her] = stored(members, members.c.id, id_of(woman))
    assert (her.source, str(her.institution_id)) == ("UPLOAD", id_of(shg))
    [waiting] = stored(submissions, submissions.c.record_id, id_of(woman))
    assert (waiting.identity_token, waiting.attested_birth_year) == (f"token of {id_of(woman)}", 1985)


def test_what_was_said_is_kept_no_longer_than_until_it_is_answered():
    bookkeeper()
    shg = institution()
    sent = send(shg, member(id_of(shg), name="1"))
    assert all(item.said for item in stored(upload_items, upload_items.c.upload_id, sent.upload_id))
    assert counts(carry_out(sent)) == (0, 1, 1)
    assert not any(item.said or item.evidence for item in stored(upload_items, upload_items.c.upload_id, sent.upload_id))
    assert stored(uploads, uploads.c.id, sent.upload_id)[0].done_at


def test_the_same_upload_is_the_same_answer_and_the_same_id_with_other_items_is_refused():
    bookkeeper()
    shg = institution()
    sent = send(shg)
    assert send(shg, upload_id=sent.upload_id) == sent
    done = carry_out(sent)
    assert send(shg, upload_id=sent.upload_id) == done
    assert code_of(send, shg, institution(), upload_id=sent.upload_id) == "UPLOAD_CONTENT"
    bookkeeper()
    assert code_of(send, shg, upload_id=sent.upload_id) == "UPLOAD_CONTENT"
    assert code_of(answer, sent) == "UPLOAD_UNKNOWN", "another's"
    rows = [row for row in stored(audit.audit, audit.audit.c.action, "profiles.upload") if row.subjects == [sent.upload_id]]
    assert len(rows) == 1


def test_half_a_batch_in_another_upload_is_taken_in_as_it_was():
    bookkeeper()
    shg = institution()
    women = [member(id_of(shg), relation_name=f"Ramesh {letter}") for letter in "abcd"]
    first = carry_out(send(shg, *women[:2]))
    again = carry_out(send(shg, *women))
    assert counts(again) == (0, 5, 0), codes(again)
    assert list(again.answers)[:3] == list(first.answers)
    ids = [id_of(item) for item in (shg, *women)]
    told = Counter(row.subject for row in stored(outbox, outbox.c.subject, *ids) if row.event not in {"InstitutionSubmitted", "MemberSubmitted"})
    assert told == Counter(ids), "each told once"
    women[0].member.member.name = "Sunita Kumari"
    changed = carry_out(send(shg, women[0]))
    assert codes(changed) == ["", "REVISION_CONTENT"]
    assert "another name" in changed.answers[1].refusal.sentence


def test_each_item_is_refused_by_itself_in_its_own_words():
    who = bookkeeper()
    shg = institution()
    stranger = institution(name="")
    nobodys = member(str(uuid7()))
    unreadable = member("x", member_id="none")
    forged = member(id_of(shg), attestation="x")
    done = carry_out(send(stranger, nobodys, shg, unreadable, forged, profiles_pb2.UploadItem(institution=profiles_pb2.Institution(kind=9))))
    assert codes(done) == ["VALUE_MISSING", "INSTITUTION_UNKNOWN", "", "ID_INVALID", "ATTESTATION_INVALID", "ID_INVALID"]
    assert counts(done) == (0, 1, 5)
    assert done.answers[0].refusal.field == "name"
    assert done.answers[0].refusal.sentence
    bookkeeper(user=who.user_id, role=Role.VO_BOOKKEEPER)
    assert codes(send(member(id_of(shg)))) == ["ROLE_NOT_ALLOWED"], "as SubmitMember"


def test_an_attestation_is_checked_when_it_comes_and_kept_as_what_it_proved():
    bookkeeper()
    shg, hers, late = institution(), str(uuid7()), str(uuid7())
    verified, too_late = attestation(hers), attestation(late, timedelta(minutes=-10))
    sent = send(shg, member(id_of(shg), hers, verified), member(id_of(shg), late, too_late, relation_name="Suresh"))
    kept = [item.evidence for item in stored(upload_items, upload_items.c.upload_id, sent.upload_id)]
    assert {"identity_token": f"token of {hers}", "birth_year": 1985, "gender": "F", "mode": "ONLINE_EKYC"} in kept
    assert verified not in str(stored(upload_items, upload_items.c.upload_id, sent.upload_id))
    assert codes(carry_out(sent)) == ["", "", "ATTESTATION_EXPIRED"]
    again = member(id_of(shg), hers, attestation(hers, timedelta(minutes=-10)))
    assert codes(carry_out(send(shg, again))) == ["", ""], "what was taken in with it stays so when it has grown old"


def test_what_happened_to_a_live_record_comes_in_the_same_upload():
    rows = [{"legacy_code": "1", "kind": "SHG", "name": "Asha", "place_lgd_code": "9981", "formed_on": "2019-06-03"}]
    women = [{"legacy_code": str(code), "shg_legacy_code": "1", "name": "Mamta Devi", "joined_on": "2020-01-01"} for code in (7, 8)]
    source = legacy.Source("x.csv", b"x" * 32, "test")
    with database.transaction(SERVICE) as connection:
        [group] = legacy.take_institutions(connection, OPERATOR, source, [legacy.Row(2, rows[0])], date(2026, 4, 1))
        left, here = legacy.take_members(connection, OPERATOR, source, [legacy.Row(2, women[0]), legacy.Row(3, women[1])], date(2026, 4, 1))
    bookkeeper(str(group.record_id))
    leaving = {"record_id": str(left.record_id), "revision": 1, "act": profiles_pb2.ACT_LEAVE, "on": "2026-03-31", "reason": "MIGRATION"}
    closing = {"record_id": str(here.record_id), "revision": 1, "act": profiles_pb2.ACT_CLOSE, "on": "2026-03-31"}
    done = carry_out(
        send(
            profiles_pb2.UploadItem(institution_event=profiles_pb2.LifeEvent(**closing)),
            profiles_pb2.UploadItem(member_event=profiles_pb2.LifeEvent(**leaving)),
        )
    )
    assert codes(done) == ["INSTITUTION_UNKNOWN", ""], "an event is of what it says"
    assert done.answers[1].status == UPLOADED
    [waiting] = stored(submissions, submissions.c.record_id, left.record_id)
    assert (waiting.act, waiting.status) == ("LEAVE", "SUBMITTED")


def test_a_batch_goes_institutions_first_then_members_then_what_happened():
    kinds = [ItemKind.MEMBER_EVENT, ItemKind.MEMBER, ItemKind.INSTITUTION, ItemKind.INSTITUTION_EVENT, ItemKind.MEMBER, ItemKind.INSTITUTION]
    assert rules.turns(kinds) == [4, 2, 0, 5, 3, 1]


# --- Limits


def test_limits_say_what_to_do():
    bookkeeper()
    assert code_of(send) == "UPLOAD_EMPTY"
    assert code_of(send, profiles_pb2.UploadItem()) == "ITEM_EMPTY"
    assert code_of(send, *[institution()] * (rules.ITEMS_MAX + 1)) == "UPLOAD_TOO_BIG"
    assert code_of(send, institution(name_local="x" * (rules.MIB_MAX << 20))) == "UPLOAD_TOO_BIG"
    assert counts(send(*[institution()] * rules.ITEMS_MAX)) == (rules.ITEMS_MAX, 0, 0)


def test_so_many_uploads_wait_and_no_more_until_one_is_done():
    bookkeeper()
    sent = [send(institution()) for _ in range(rules.WAITING_MAX)]
    with pytest.raises(Refused) as refused:
        send(institution())
    assert refused.value.code == "UPLOADS_TOO_MANY"
    assert interceptors.status_of(refused.value).code == 8, "RESOURCE_EXHAUSTED"
    carry_out(sent[0])
    assert counts(send(institution())) == (1, 0, 0)
    bookkeeper()
    assert counts(send(institution())) == (1, 0, 0), "another's are her own"


def test_uploads_are_forgotten_after_thirty_days_and_one_that_comes_once_more_is_carried_out_once_more():
    bookkeeper()
    shg = institution()
    kept, old = carry_out(send(institution())), carry_out(send(shg))
    with database.transaction(SERVICE) as connection:
        connection.execute(update(uploads).where(uploads.c.id == old.upload_id).values(put_at=datetime.now(UTC) - timedelta(days=31)))
    profile_jobs.forget_uploads.function(SERVICE, {})
    assert counts(answer(kept)) == (0, 1, 0)
    assert code_of(answer, old) == "UPLOAD_UNKNOWN"
    assert not stored(upload_items, upload_items.c.upload_id, old.upload_id)
    again = send(shg, upload_id=old.upload_id)
    with database.reading(SERVICE) as connection:
        asked = connection.execute(select(jobs).where(jobs.c.name == "carry_out_upload", jobs.c.done_at.is_(None))).all()
    assert sum(job.arguments["upload_id"] == old.upload_id for job in asked) == 2, "the first, which this test ran itself, and another"
    assert counts(carry_out(again)) == (0, 1, 0)


# --- What she might do when she sent it


def test_whoever_logs_out_or_is_stopped_meanwhile_has_handed_in_what_she_sent():
    session = Session(uuid7(), 1)
    who = bookkeeper(session=session)
    shg = institution()
    sent = send(shg)
    with database.transaction(SERVICE) as connection:
        ended.keep(connection, session.session_id, ended.ENDED, datetime.now(UTC) + timedelta(minutes=10))
    assert counts(carry_out(sent)) == (0, 1, 0)
    [waiting] = stored(submissions, submissions.c.record_id, id_of(shg))
    assert (waiting.maker_user, waiting.maker_person) == (who.user_id, who.person), "so that she never approves it"


def test_an_institution_that_is_no_longer_hers_was_hers_when_she_sent_it():
    bookkeeper()
    shg = institution()
    carry_out(send(shg))
    who = bookkeeper(id_of(shg))
    sent = send(member(id_of(shg)))
    bookkeeper(user=who.user_id)
    assert counts(carry_out(sent)) == (0, 1, 0)
    assert codes(carry_out(send(member(id_of(shg), relation_name="Suresh")))) == ["INSTITUTION_NOT_YOURS"]


# --- When things go wrong


def test_our_own_fault_holds_up_no_other_item():
    bookkeeper()
    good = [institution(), institution()]
    sent = send(good[0], institution(), good[1])
    broken = upload_items.c.upload_id == sent.upload_id, upload_items.c.place == 1
    with database.transaction(SERVICE) as connection:
        connection.execute(update(upload_items).where(*broken).values(said={"kind": "SHG"}))
    done = carry_out(sent)
    assert codes(done) == ["", "ITEM_FAILED", ""]


def test_what_is_in_the_way_for_a_while_is_no_answer():
    """A record that somebody holds too long: the job is tried again, and goes on."""
    bookkeeper()
    shg = institution()
    carry_out(send(shg))
    bookkeeper(id_of(shg))
    woman = member(id_of(shg))
    sent = send(woman)
    with database.transaction(SERVICE) as holding:
        holding.execute(select(institutions).where(institutions.c.id == id_of(shg)).with_for_update())
        with pytest.raises(Exception, match=r"LockNotAvailable|lock timeout"):
            carry_out(sent)
        assert counts(answer(sent)) == (1, 0, 0)
    assert counts(carry_out(sent)) == (0, 1, 0)


def at_once(call, times=4):
    """In threads, each as the caller of the test."""
    with ThreadPoolExecutor(times) as pool:
        return [asked.result() for asked in [pool.submit(contextvars.copy_context().run, call) for _ in range(times)]]


def test_the_same_upload_sent_and_carried_out_by_several_at_once_is_one():
    bookkeeper()
    shg, upload_id = institution(), str(uuid7())
    women = [member(id_of(shg), relation_name=f"Ramesh {letter}") for letter in "abcdefgh"]
    sent = at_once(lambda: send(shg, *women, upload_id=upload_id))
    assert {counts(one) for one in sent} == {(9, 0, 0)}
    with database.reading(SERVICE) as connection:
        assert len(connection.execute(select(jobs).where(jobs.c.name == "carry_out_upload")).all()) == 1
    at_once(lambda: carry_out(sent[0]))
    assert counts(answer(sent[0])) == (0, 9, 0)
    ids = [id_of(item) for item in (shg, *women)]
    told = Counter((row.event, row.subject) for row in stored(outbox, outbox.c.subject, *ids))
    assert set(told.values()) == {1}


def work(up):
    """A worker of its own, as the operator starts it."""
    environment = {**os.environ, **up.instances["UP"].env, "LOKOS_GEOGRAPHY_FILE": os.environ["LOKOS_GEOGRAPHY_FILE"]}
    return subprocess.Popen([sys.executable, "-m", "services.chassis.work", SERVICE], env=environment, stderr=subprocess.DEVNULL)


def until(what, seconds=120):
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.timeout(300)
def test_a_worker_killed_between_items_loses_none_and_doubles_none(up):
    bookkeeper()
    shgs = [institution() for _ in range(20)]
    items = [*shgs, *(member(id_of(shg), relation_name=f"Ramesh {letter}") for shg in shgs for letter in "abcdefgh")]
    sent = send(*items)
    for kills in range(1, 4):
        worker = work(up)
        until(lambda floor=kills * 30: answer(sent).taken_in >= floor)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert answer(sent).waiting, "killed in the middle"
        with database.transaction(SERVICE) as connection:  # Its lease runs out, for which nobody waits here.
            connection.execute(update(jobs).where(jobs.c.name == "carry_out_upload").values(leased_until=datetime.now(UTC) - timedelta(seconds=1)))
    worker = work(up)
    until(lambda: not answer(sent).waiting)
    worker.terminate()
    worker.wait()
    done = answer(sent)
    assert counts(done) == (0, len(items), 0), set(codes(done))
    ids = [id_of(item) for item in items]
    submitted = Counter(row.subjects[0] for row in stored(audit.audit, audit.audit.c.action, "institution.submit", "member.submit"))
    assert {record_id: submitted[record_id] for record_id in ids} == dict.fromkeys(ids, 1)
    told = Counter((row.event, row.subject) for row in stored(outbox, outbox.c.subject, *ids))
    assert set(told.values()) == {1}
    assert sum(told.values()) == 2 * len(items), "of each those who keep a copy, and the duplicate check"
