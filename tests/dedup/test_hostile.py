"""What strangers may write as a name, and a village of very many namesakes: the check stays bounded."""

import pytest
from sqlalchemy import text

from services.dedup import commands, queries, rules
from services.dedup.rules import MATCHES_MAX, Record, Verdict
from services.kernel.approval import Status
from services.kernel.ids import uuid7

SERVICE = "dedup"
REGION = "99.978.9904.9977.99005"
CROWD = 50_000
ODD = {
    "very long": "Sunita " * 1500,
    "one endless word": "s" * 10_000,
    "marks that nobody sees": "Su\u200bni\u200dta\u2060 \ufeffDe\u00advi",
    "right to left": "\u202eSunita\u202c \u2067Devi\u2069",
    "mixed scripts": "Suनीता দেবী",
    "digits": "Sunita 9999 2",
    "emoji": "Sunita 🌸👩🏽‍🌾 Devi",
    "signs alone": "–·—…",
    "stacked marks": "S" + "\u0301" * 3000 + "unita",
}


def record(**changes):
    return Record(**{"member_id": uuid7(), "revision": 1, "institution_id": uuid7(), "region": REGION, "name": "Sunita Devi", **changes})


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_any_text_is_screened_as_a_name(connection, name):
    one, other = record(name=name, relation_name=name, birth_year=1988), record(name=name, relation_name=name, birth_year=1988)
    commands.screen(connection, one, 1)
    commands.screen(connection, other, 1)
    (held,) = queries.held(connection, [one.member_id])[one.member_id]
    assert max(len(held.person.name_fold), len(held.person.name_skeleton)) <= 1000  # An index takes no more than some 2,700 bytes.
    assert queries.screening(connection, other.member_id)[0].verdict in Verdict


@pytest.mark.parametrize("name", ["marks that nobody sees", "right to left"])
def test_what_nobody_sees_hides_nobody(name):
    assert rules.person(record(name=ODD[name]), Status.SUBMITTED).name_fold == "sunita"


def test_a_village_of_namesakes_is_no_more_work_than_the_caps(connection):
    """50,000 women called alike, of one husband's name, half of them of one year: only the few who share something rarer are looked at."""
    probe = record(relation_name="Ramesh", birth_year=1988, mobile="9123456780")
    held = rules.person(probe, Status.ACTIVE)
    columns = {name: getattr(held, name) for name in ("region", "block", "village", "name_fold", "name_skeleton", "name_first", "name_title")}
    columns |= {name: getattr(held, name) for name in ("relation_fold", "relation_skeleton", "relation_first")}
    connection.execute(
        text(
            f"insert into people (member_id, version, revision, institution_id, birth_year, mobile, account, identity_token, status,"
            f" {', '.join(columns)}) select gen_random_uuid(), 1, 1, gen_random_uuid(), case when n % 2 = 0 then 1988 else 1940 + n % 60 end,"
            f" '', '', '', 'ACTIVE', {', '.join(f':{name}' for name in columns)} from generate_series(1, {CROWD}) as n"
        ),
        columns,
    )
    connection.exec_driver_sql("analyze people")
    double = record(relation_name="Ramesh", birth_year=1960, mobile="9123456780")
    commands.screen(connection, double, 1)
    one, found = queries.candidates(connection, held)
    assert {each.member_id for each in found} == {double.member_id}
    assert one.mobile == held.mobile
    commands.screen(connection, probe, 1)
    screening = queries.screening(connection, probe.member_id)[0]
    assert [match.other_id for match in screening.matches] == [double.member_id]
    assert len(screening.matches) <= MATCHES_MAX
