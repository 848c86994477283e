"""Members and institutions of an invented block, who hands them in and who decides, for the tests of profiles."""

import threading
import time
from datetime import date

import pytest
from sqlalchemy import delete, select, text, update

from protos import dedup_pb2
from services.chassis import database
from services.chassis.mailbox import outbox
from services.kernel.approval import Act
from services.kernel.caller import Caller, Role
from services.kernel.errors import Refused
from services.kernel.ids import derived, uuid7
from services.profiles.commands import institution, member, review
from services.profiles.queries import MEMBER
from services.profiles.rules.review import Decided, Decision
from services.profiles.tables import institutions, submissions

SERVICE = "profiles"
TODAY = date(2026, 4, 1)
BLOCK = "9.178.1504"
GP, OTHER_GP = f"{BLOCK}.999011", f"{BLOCK}.999012"
VILLAGE, NEXT_VILLAGE, FAR_VILLAGE = f"{GP}.999111", f"{GP}.999112", f"{OTHER_GP}.999121"
PLACES = ("9", "9.178", BLOCK, GP, VILLAGE, NEXT_VILLAGE, OTHER_GP, FAR_VILLAGE, "9.178.1505", "9.178.1505.88", "9.178.1505.88.881")
NOBODY_YET = [uuid7() for _ in range(6)]  # Who sits in an institution that is handed in before them, and for whom.
NOT_HER = [Decided("f1", Decision.NOT_A_DUPLICATE, "I met both")]

# In front of what other tests and flows have left, so that a test has these tables to itself.
OF_PROFILES = (
    "institutions",
    "members",
    "submissions",
    "history",
    "memberships",
    "mappings",
    "findings",
    "finding_decisions",
    "institution_findings",
    "account_checks",
    "images",
    "image_uses",
    "withdrawals",
    "outbox",
    "jobs",
    "audit",
)


def emptied(connection):
    for table in OF_PROFILES:
        connection.execute(text(f"create temporary table {table} (like {table} including all) on commit drop"))
    return connection


def code_of(call, *arguments, **named):
    with pytest.raises(Refused) as refused:
        call(*arguments, **named)
    return refused.value.code


# --- Who calls


def clerk():
    return Caller("IUP_MIS", Role.BLOCK_THEMATIC_USER, BLOCK, person="clerk")


def bookkeeper(*institution_ids, person="bookkeeper", user="IUP_BK"):
    return Caller(user, Role.SHG_BOOKKEEPER, VILLAGE, frozenset(institution_ids), person)


def vo_bookkeeper(*institution_ids):
    return Caller("IUP_VO", Role.VO_BOOKKEEPER, GP, frozenset(institution_ids), person="vo")


def clf_bookkeeper(*institution_ids):
    return Caller("IUP_CLF", Role.CLF_BOOKKEEPER, BLOCK, frozenset(institution_ids), person="clf")


def supervisor(**changes):
    plain = {"user_id": "IUP_DPM", "role": Role.DISTRICT_PROGRAM_MANAGER, "region": "9.178", "person": "supervisor"}
    return Caller(**{**plain, **changes})


def manager(**changes):
    plain = {"user_id": "IUP_BPM", "role": Role.BLOCK_PROGRAM_MANAGER, "region": BLOCK, "person": "manager"}
    return Caller(**{**plain, **changes})


# --- What is said


def row(name, **fields):
    """A row of a profile, whose id stays the same for the same name."""
    return {"row_id": str(derived("row", name)), **fields}


def phone(number="6000917401", **changes):
    return row(f"phone {number}", number=number, is_default="YES") | changes


def account(number="1000200917401", **changes):
    return row(f"account {number}", ifsc="ZZZZ0KLD001", account_number=number, holding="SINGLE", is_default="YES") | changes


def said(institution_id, **changes):
    """All that a form of a member must say, and a phone and an account."""
    plain = {
        "institution_id": str(institution_id),
        "name": "Sunita Devi",
        "gender": "FEMALE",
        "birth_year": "1985",
        "relation": "SPOUSE",
        "relation_name": "Ramesh Kumar",
        "marital_status": "MARRIED",
        "social_category": "OBC",
        "religion": "HINDU",
        "minority": "NO",
        "bpl": "YES",
        "phones": [phone()],
        "accounts": [account()],
        "joined_on": "2023-04-14",
    }
    return plain | changes


def office(*member_ids, **fields):
    """A president, a secretary and a treasurer, of whom the latter two sign."""
    posts = zip(("PRESIDENT", "SECRETARY", "TREASURER"), member_ids, strict=True)
    seat = {"body": "OFFICE", "from": "2024-06-03", **fields}
    return [row(post, post=post, member_id=str(hers), is_signatory="" if post == "PRESIDENT" else "YES", **seat) for post, hers in posts]


def said_of(kind="SHG", **changes):
    """All that a form of an institution must say; who sits there need not be enrolled yet."""
    plain = {
        "kind": kind,
        "name": {"SHG": "Ujala", "VO": "Pragati", "CLF": "Sankul"}[kind],
        "region": {"SHG": VILLAGE, "VO": GP, "CLF": BLOCK}[kind],
        "formed_on": "2023-04-14",
        "origin": "NEW",
        "promoted_by": "NRLM",
        "bookkeeper": "NONE",
        "meeting_frequency": "WEEKLY",
        "meeting_weekday": "MONDAY",
        "seats": office(*NOBODY_YET[:3]),
    }
    if kind == "SHG":
        plain |= {"type": "REGULAR", "savings_frequency": "WEEKLY", "compulsory_savings_paise": 10_000}
    else:
        plain |= {"financial_intermediation": "NO"}
        plain["seats"] = [seat | {"institution_id": str(shg)} for seat, shg in zip(plain["seats"], NOBODY_YET[3:], strict=True)]
    return plain | changes


# --- What is done


def new_shg(connection, **changes):
    """An SHG that its bookkeeper has submitted, and the bookkeeper who then has it."""
    shg_id = uuid7()
    institution.submit(connection, bookkeeper(), shg_id, 1, said_of(**changes), TODAY)
    return shg_id, bookkeeper(shg_id)


def submit(connection, who, shg_id, member_id=None, revision=1, evidence=None, **changes):
    return member.submit(connection, who, member_id or uuid7(), revision, said(shg_id, **changes), evidence, TODAY)


def approve(connection, record_id, revision=1, decisions=(), who=None, kind=MEMBER):
    return review.approve(connection, who or manager(), kind, record_id, revision, decisions, TODAY)


def approve_institution(connection, record_id, revision=1, who=None, decisions=()):
    """Of what no duplicate check has spoken of yet it says first that there is nothing."""
    of_it = submissions.c.record_id == record_id, submissions.c.act == Act.PROFILE, submissions.c.verdict.is_(None)
    waits = connection.execute(select(submissions.c.revision).where(*of_it)).scalar_one_or_none()
    if waits:
        screen_institution(connection, record_id, waits)
    return approve(connection, record_id, revision, decisions, who, kind="")


def reject(connection, record_id, revision=1, reasons=("OTHER",), remark="again", decisions=(), *, sections=(), who=None, kind=MEMBER):
    words = review.words(connection, reasons, remark, sections, TODAY)
    return review.reject(connection, who or manager(), kind, record_id, revision, words, decisions, TODAY)


def reject_institution(connection, record_id, revision=1, **said):
    return reject(connection, record_id, revision, kind="", **said)


def screened(member_id, revision, *found, version=None):
    """What dedup says: nothing, or findings as (id, verdict), and besides whom it names and who may overrule it."""
    verdicts = [verdict for _, verdict, *_ in found] or [dedup_pb2.VERDICT_CLEAR]
    return (
        version or time.monotonic_ns(),
        dedup_pb2.MemberScreened(
            member_id=str(member_id),
            revision=revision,
            verdict=max(verdicts),
            matches=[
                dedup_pb2.Match(
                    finding_id=finding_id,
                    other_member_id=str(more[0] if more else uuid7()),
                    verdict=verdict,
                    weight_centibits=3000,
                    override=more[1] if len(more) > 1 else dedup_pb2.OVERRIDE_OFFICER,
                    clues=[dedup_pb2.Clue(code="SAME_VILLAGE", words="the same village", weight_centibits=1300)],
                )
                for finding_id, verdict, *more in found
            ],
        ),
    )


def screen(connection, subject, *found, version=None):
    """The duplicate check speaks of the profile that was handed in last."""
    member.note_screening(connection, *screened(subject.row.id, subject.profile.revision, *found, version=version))


def screen_institution(connection, institution_id, revision, *found, version=None):
    """The duplicate check speaks of a revision: nothing, or findings as (id, verdict)."""
    verdicts = [verdict for _, verdict in found] or [dedup_pb2.VERDICT_CLEAR]
    message = dedup_pb2.InstitutionScreened(institution_id=str(institution_id), revision=revision, verdict=max(verdicts))
    for finding_id, verdict in found:
        clues = [dedup_pb2.Clue(code="SAME_VILLAGE", words="the same village")]
        message.matches.add(finding_id=finding_id, other_institution_id=str(uuid7()), verdict=verdict, clues=clues)
    institution.note_screening(connection, version or time.monotonic_ns(), message)


def enrol(connection, maker, shg_id, member_id=None, **changes):
    """A member from maker to checker: active."""
    made = submit(connection, maker, shg_id, member_id, **changes)
    screen(connection, made)
    return approve(connection, made.row.id)


def active_shg(connection, members=5, **changes):
    """An SHG that is active with its members, the first of whom are its office bearers; its bookkeeper, and the members' ids in order."""
    ids = sorted(uuid7() for _ in range(members))
    shg_id, maker = new_shg(connection, seats=office(*ids[:3]), **changes)
    for place, member_id in enumerate(ids):
        enrol(connection, maker, shg_id, member_id, name=f"Member {'abcdefghijklmnopqrstu'[place]}")
    approve_institution(connection, shg_id)
    return shg_id, maker, ids


def live_at_once(connection, institution_id):
    """Live without all that approval asks for, in a test about something else."""
    waits = select(submissions.c.content).where(submissions.c.record_id == institution_id).scalar_subquery()
    connection.execute(update(institutions).where(institutions.c.id == institution_id).values(status="ACTIVE", revision=1, content=waits))
    connection.execute(delete(submissions).where(submissions.c.record_id == institution_id))


def edited(subject, **changes):
    """What is live of a record as a form says it again, with changes."""
    return dict(subject.content) | changes


# --- What others hear


def events(connection, name=None, to=None):
    asked = select(outbox).where(outbox.c.destination == to if to else outbox.c.destination.is_(None)).order_by(outbox.c.id)
    return [one for one in connection.execute(asked) if name in {None, one.event}]


def last(connection, message):
    one = events(connection, message.DESCRIPTOR.name)[-1]
    return message.FromString(one.body), one.version


# --- At once, on connections of their own


def at_once(*calls):
    """Each call in a transaction and thread of its own; what each gave or refused with."""
    outcomes = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(number, call):
        barrier.wait()
        try:
            with database.transaction(SERVICE) as connection:
                outcomes[number] = call(connection)
        except Refused as refused:
            outcomes[number] = refused.code

    threads = [threading.Thread(target=run, args=one) for one in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes
