"""A meeting in few bytes, and out of them again."""

import zlib
from dataclasses import replace
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos import transactions_pb2 as pb
from services.transactions.rules.agreed import Agreed
from services.transactions.rules.heads import Head
from services.transactions.rules.journal import Line
from services.transactions.rules.meeting import lines
from services.transactions.rules.packed import HEAD_OF, NUMBER_OF, pack, unlisted, unpack_content, unpack_lines, unpack_sheet
from services.transactions.rules.sheet import KINDS, BorrowingRepayment, Paid, Repayment, Reschedule, Reversal, WriteOff, content
from tests.transactions.builders import Group, closed, everything, final, following, leaving, new_id, savings, sheet

GROUP = Group()
FIRST = following(GROUP.books(), GROUP, **everything(GROUP))
BOOKS = final(FIRST, GROUP.books())
LOAN, BORROWING = FIRST.loans[0].loan_id, FIRST.borrowings[0].borrowing_id
# Every list of a sheet has something in it.
FULL = following(
    BOOKS,
    GROUP,
    **everything(GROUP),
    **leaving(GROUP, LOAN),
    repayments=(Repayment(LOAN, 100, 20), Repayment(LOAN, 0, 0, Paid("CASH"))),
    borrowing_repayments=(BorrowingRepayment(BORROWING, 200, 30, Paid("CHEQUE", GROUP.bank_ids[1], "123456")),),
    reversals=(Reversal(FIRST.meeting_id, 1), Reversal(FIRST.meeting_id, 3)),
    reschedules=(Reschedule(LOAN, 1200, 6, Agreed(moratorium=2), "बाढ़"),),
    write_offs=(WriteOff(BORROWING, 5, "flood"),),
    manual_books_differ="मानक बही में ₹2 कम",
)


def stored(one, posted=(), left_out=0, said=None):
    """A row of meetings as it comes from the database: ids are UUIDs there."""
    packed = pack(said or content(one), posted, left_out)
    columns = {"meeting_id": UUID(one.meeting_id), "institution_id": UUID(one.institution_id), "revision": one.revision, "number": one.number}
    columns["flags"] = ["ATTENDANCE_INCOMPLETE"] if left_out else []
    return SimpleNamespace(**columns, held_on=one.held_on, **{**packed._asdict(), "ids": [UUID(of) for of in packed.ids]})


@pytest.mark.parametrize("one", [FULL, FIRST, sheet(GROUP), sheet(GROUP, attendance=()), sheet(GROUP, previous_meeting_id=new_id())])
def test_a_sheet_comes_back_as_it_was(one):
    row = stored(one)
    assert unpack_sheet(row) == one
    assert unpack_content(row) == content(one)


def test_what_a_newer_version_wrote_is_read_without_what_this_one_does_not_know():
    """Programs are replaced one by one, and the old ones go on showing meetings."""
    said = content(FULL)
    said |= {"weather": "rain", "witnesses": [{"member_id": GROUP.members[0], "signed": {"by": "hand"}}], "venue": {"region": "9.178"}}
    said["savings"] = [{**one, "season": 1, "paid": {"mode": "CASH", **one.get("paid", {}), "wallet": 7}} for one in said["savings"]]
    row = stored(FULL, said=said)
    assert b"weather" in zlib.decompress(row.content)
    read = unpack_sheet(row)
    assert replace(read, savings=FULL.savings) == FULL
    assert [one._replace(paid=was.paid) for one, was in zip(read.savings, FULL.savings, strict=True)] == list(FULL.savings)
    pb.MeetingSheet(**unpack_content(row))


def test_an_id_is_kept_once_however_deep_it_stands():
    said = content(FULL) | {"gifts": [{"from": {"member_id": GROUP.members[0], "paid": {"bank_id": GROUP.bank_ids[0]}}}]}
    assert GROUP.members[0] not in zlib.decompress(pack(said, ()).content).decode()
    assert GROUP.bank_ids[0] not in zlib.decompress(pack(said, ()).content).decode()


def test_how_many_were_left_out_is_kept_beside_the_content():
    row = stored(FULL, (), 7)
    assert (unlisted(row), unlisted(stored(FULL))) == (7, 0)
    assert unpack_sheet(row) == FULL
    assert unpack_content(row) == content(FULL)


def test_the_full_sheet_of_these_tests_is_full():
    assert all(getattr(FULL, name) for name in KINDS)


def test_lines_come_back_as_they_were():
    posted = lines(FULL, BOOKS.loans, BOOKS.reversible)
    assert len(posted) > 15
    assert unpack_lines(stored(FULL, posted)) == posted
    assert unpack_lines(stored(FULL)) == ()


def test_each_id_is_kept_once():
    packed = pack(content(FULL), lines(FULL, BOOKS.loans, BOOKS.reversible))
    assert len(set(packed.ids)) == len(packed.ids)
    written = zlib.decompress(packed.content).decode()
    assert not any(of in written for of in packed.ids)
    assert GROUP.members[0] in packed.ids


def test_every_head_has_a_number_of_its_own_and_gets_it_back():
    assert {HEAD_OF[NUMBER_OF[head]] for head in Head} == set(Head)
    assert (NUMBER_OF[Head.CASH], NUMBER_OF[Head.COMPULSORY_SAVINGS], NUMBER_OF[Head.LOAN_INTEREST], NUMBER_OF[Head.OTHER_EXPENSE]) == (
        103,
        201,
        301,
        410,
    )


IDS = [new_id() for _ in range(4)]
OF = st.sampled_from(["", *IDS])
HEADS = st.sampled_from(Head)


@given(st.lists(st.tuples(HEADS, HEADS, st.integers(1, 2**62), OF, OF), max_size=20))
def test_any_lines_come_back(made):
    posted = tuple(Line(number, *one) for number, one in enumerate(made, 1))
    assert unpack_lines(stored(sheet(GROUP), posted)) == posted


@given(st.text(max_size=40), st.integers(0, 2**40), st.booleans())
def test_any_text_and_amount_come_back(text, paise, present):
    attendance = tuple(one._replace(present=present) for one in FULL.attendance)
    entries = tuple(one._replace(amount_paise=paise, party=text) for one in FULL.entries)
    requests = tuple(one._replace(purpose=text, priority=paise) for one in FULL.requests)
    one = replace(FULL, attendance=attendance, entries=entries, requests=requests, manual_books_differ=text)
    assert unpack_sheet(stored(one)) == one


def test_what_is_stored_of_a_common_meeting_is_small():
    """A group of ten that saves: what a state has by the crore."""
    group = Group(member_ids=[UUID(new_id()) for _ in range(10)])
    one = closed(sheet(group, savings=savings(group)), group.books())
    assert len(pack(content(one), lines(one, {}, {})).content) < 300
