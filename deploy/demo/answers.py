"""What a bookkeeper asks on her round: invented answers for what a list leaves open. Fit for load's environment too, which has no more than gRPC."""

import random
from collections.abc import Mapping
from typing import Any

from protos import profiles_pb2
from services.kernel import month
from services.kernel.ids import derived


def complete_member(member: Any) -> None:  # noqa: ANN401 - a Member
    """Answer what a list leaves open, as the bookkeeper asks it: invented, and for the same member always the same."""
    dice = random.Random(member.member_id)  # noqa: S311 - no secret
    married, [religion] = member.relation == "SPOUSE", dice.choices(("HINDU", "MUSLIM", "SIKH"), (84, 14, 2))
    _answer(
        member,
        marital_status=dice.choice(("MARRIED", "MARRIED", "MARRIED", "WIDOW")) if married else "SINGLE",
        religion=religion,
        minority="NO" if religion == "HINDU" else "YES",
        bpl=dice.choice(("YES", "NO")),
        pvtg="NO" if member.social_category == "ST" else "",
        pip_category=dice.choice(("POP", "POOR", "POOR", "MIDDLE")),
        education=dice.choice(("ILLITERATE", "CAN_SIGN", "PRIMARY", "MIDDLE", "SECONDARY")),
        head_of_family=dice.choice(("HUSBAND", "HUSBAND", "SELF")) if married else "FATHER",
        livelihoods=dice.sample(("AGRICULTURE", "DAIRY", "GOAT_REARING", "TAILORING", "PETTY_TRADE"), dice.randint(1, 3)),
        addresses=[_address(member.member_id, "PRESENT", dice)],
    )


def complete_institution(institution: Any, bearers: Mapping[str, str]) -> None:  # noqa: ANN401 - an Institution
    """The same for an institution. `bearers` are at least three active members, each with the SHG or VO that she stands for."""
    dice = random.Random(institution.institution_id)  # noqa: S311 - no secret
    is_shg = institution.kind == profiles_pb2.KIND_SHG
    president, secretary, treasurer, *_ = bearers
    seats = [
        profiles_pb2.Seat(
            row_id=str(derived("seat", institution.institution_id, post)),
            body="OFFICE",
            post=post,
            institution_id="" if is_shg else bearers[member_id],
            member_id=member_id,
            is_signatory="" if post == "SECRETARY" else "YES",
            **{"from": month.today().isoformat()},
        )
        for post, member_id in (("PRESIDENT", president), ("SECRETARY", secretary), ("TREASURER", treasurer))
    ]
    account = profiles_pb2.BankAccount(
        row_id=str(derived("account", institution.institution_id)),
        ifsc="ZZZZ0KLD001",  # No bank's.
        account_number=str(dice.randrange(10**12, 10**13)),
        holding="GROUP",
        is_default="YES",
    )
    registered = institution.kind == profiles_pb2.KIND_CLF
    _answer(
        institution,
        type="REGULAR" if is_shg else "",
        origin="NEW",
        promoted_by="NRLM",
        bookkeeper="INTERNAL",
        bookkeeper_member_id=secretary,
        election_tenure_months=24,
        meeting_frequency="WEEKLY" if is_shg else "MONTHLY",
        meeting_weekday=dice.choice(("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY")),
        meeting_weeks=() if is_shg else (dice.randint(1, 4),),
        financial_intermediation="" if is_shg else "YES",
        savings_frequency="WEEKLY" if is_shg else "MONTHLY",
        compulsory_savings_paise=50_00,
        interloaning_rate_basis_points=dice.choice((1200, 1800, 2400)),
        registration_number=f"REG{dice.randrange(10**4, 10**5)}" if registered else "",
        registration_act="Societies Registration Act, 1860" if registered else "",
        accounts=[account],
        addresses=[_address(institution.institution_id, "OFFICE", dice)],
        seats=seats,
    )


def _answer(said: Any, **answers: Any) -> None:  # noqa: ANN401 - a Member or an Institution, and what its fields hold
    """Say what is not said yet."""
    drawn = type(said)(**answers)
    for one, _ in said.ListFields():
        drawn.ClearField(one.name)
    said.MergeFrom(drawn)


def _address(record_id: str, kind: str, dice: random.Random) -> Any:  # noqa: ANN401 - an Address
    row_id, line = str(derived("address", record_id)), f"House {dice.randint(1, 400)}"
    return profiles_pb2.Address(row_id=row_id, kind=kind, area="RURAL", line_1=line, pincode=str(dice.randrange(200_001, 290_000)))
