"""A round of the bookkeeper's: what the state added to a list, an upload answered item by item, the bank's word, and a woman who moves."""

from typing import Any

from deploy.demo import books, cast, screen
from deploy.demo.answers import complete_member
from deploy.demo.client import Client
from protos import profiles_pb2
from services.kernel import month
from services.kernel.ids import derived, uuid7

CROP = profiles_pb2.MasterValue(
    list="LIVELIHOOD",
    code="KALA_NAMAK",
    national_code="AGRICULTURE",
    labels={"en": "Kala Namak rice", "hi": "कालानमक धान"},
    order=15,
    active=True,
)
# She lives nearer to the other group; she is new there; of the third the bookkeeper wrote down a digit too few.
MOVES, JOINS, MISWRITTEN = "Urmila Tiwari", "Savitri Vishwakarma", "Kalawati Patel"


def add_to_list(admin: Client, keeper: Client) -> None:
    """A value that counts as a national one; a device takes what changed since its version, in its language."""
    [answer] = admin(admin.profiles.EditMasters, profiles_pb2.EditMastersRequest(values=[CROP])).answers
    known = answer.value.version - 1
    changed = keeper(keeper.profiles.ListMasters, profiles_pb2.ListMastersRequest(since_version=known, languages=["hi"]))
    labels = {value.code: value.labels["hi"] for value in changed.values}
    if labels.get(CROP.code) != CROP.labels["hi"]:
        raise RuntimeError(f"the device has not got what the state added: {answer.refusal.sentence or labels}")
    screen.say(f"the state adds {CROP.code} to {CROP.list}, counted as {CROP.national_code} in the nation's figures")
    screen.say(f"a device at version {known} of the lists takes what changed, in Hindi: {', '.join(labels.values())}")


def go_round(keeper: Client, manager: Client, left: Any, joined: Any) -> None:  # noqa: ANN401 - two SHGs
    """One woman goes from `left` to `joined`, where another is new."""
    women = {one.name: one for shg in (left, joined) for one in cast.members_of(keeper, shg.institution_id)}
    if JOINS not in women:
        _upload(keeper, women[MOVES], joined)
        women = {one.name: one for shg in (left, joined) for one in cast.members_of(keeper, shg.institution_id)}
    if women[MOVES].HasField("waiting_event"):
        event = women[MOVES].waiting_event
        manager(manager.profiles.ApproveMember, profiles_pb2.ApproveMemberRequest(member_id=event.record_id, revision=event.revision))
    _show_life(manager, women[MOVES], {shg.institution_id: shg.name for shg in (left, joined)}, joined)
    _hear_bank(manager, women[JOINS])


def _upload(keeper: Client, moves: Any, joined: Any) -> None:  # noqa: ANN401 - a Member and an SHG
    """Three items of a day without a network."""
    transfer = profiles_pb2.LifeEvent(
        record_id=moves.member_id,
        revision=moves.revision + 1,
        act="ACT_TRANSFER",
        on=month.today().isoformat(),
        to_institution_id=joined.institution_id,
    )
    items = [
        profiles_pb2.UploadItem(member=profiles_pb2.SubmitMemberRequest(member=_new(JOINS, "6000917651", joined))),
        profiles_pb2.UploadItem(member=profiles_pb2.SubmitMemberRequest(member=_new(MISWRITTEN, "600091765", joined))),
        profiles_pb2.UploadItem(member_event=transfer),
    ]
    request = profiles_pb2.UploadProfilesRequest(upload_id=str(uuid7()), items=items)
    with screen.step("the bookkeeper uploads what she gathered without a network: two new women, and one who moves to another group"):
        keeper(keeper.profiles.UploadProfiles, request)
        books.wait_until("the upload is carried out", lambda: not _answers(keeper, request.upload_id).waiting)
    status = _answers(keeper, request.upload_id)
    for name, answer in zip((JOINS, MISWRITTEN, MOVES), status.answers, strict=True):
        refusal = answer.refusal
        said = f"[yellow]refused: {refusal.sentence}[/yellow] ({refusal.code}, {refusal.field})" if refusal.code else "taken in"
        screen.say(f"   {name}: {said}")
    if [bool(one.refusal.code) for one in status.answers] != [False, True, False]:
        raise RuntimeError("the upload is answered otherwise than it should be")


def _answers(keeper: Client, upload_id: str) -> Any:  # noqa: ANN401 - an UploadStatus
    return keeper(keeper.profiles.GetUpload, profiles_pb2.GetUploadRequest(upload_id=upload_id))


def _new(name: str, mobile: str, shg: Any) -> Any:  # noqa: ANN401 - an SHG, and a Member
    """A woman whom no list names; the crop that the state has just added is hers."""
    key, (_, family) = (shg.institution_id, name), name.split()
    account = profiles_pb2.BankAccount(
        row_id=str(derived("account", *key)), ifsc="ZZZZ0KLD001", account_number=f"100020{mobile}", holding="SINGLE", is_default="YES"
    )
    made = profiles_pb2.Member(
        member_id=str(uuid7()),
        revision=1,
        institution_id=shg.institution_id,
        name=name,
        gender="FEMALE",
        birth_year=1989,
        relation="SPOUSE",
        relation_name=f"Ram {family}",
        social_category="OBC",
        joined_on=month.today().isoformat(),
        livelihoods=[CROP.code],
        phones=[profiles_pb2.Phone(row_id=str(derived("phone", *key)), number=mobile, is_default="YES")],
        accounts=[account],
    )
    complete_member(made)
    return made


def _show_life(manager: Client, moved: Any, names: dict[str, str], joined: Any) -> None:  # noqa: ANN401 - a Member and an SHG
    """Who made and approved what of her, and where she was when."""
    life = manager(manager.profiles.GetHistory, profiles_pb2.GetHistoryRequest(record_id=moved.member_id))
    for entry in life.entries:
        screen.say(
            f"{moved.name}, revision {entry.revision}: {profiles_pb2.Act.Name(entry.act)[4:]} by {entry.maker_user}, approved by {entry.decided_by}"
        )
    places = [f"{names[stay.institution_id]} from {getattr(stay, 'from')}{f' to {stay.to}' if stay.to else ''}" for stay in life.stays]
    screen.say(f"   she was in {', and in '.join(places)}")
    if life.stays[-1].institution_id != joined.institution_id:
        raise RuntimeError("who moved is not where she went")


def _hear_bank(manager: Client, new: Any) -> None:  # noqa: ANN401 - a Member
    """The bank is asked as soon as an account is handed in; the checker sees what it said."""

    def heard() -> Any:  # noqa: ANN401 - a Member
        found = manager(manager.profiles.GetMember, profiles_pb2.GetMemberRequest(member_id=new.member_id))
        return found if found.accounts[0].check.outcome in {"VALID", "INVALID"} else None

    with screen.step(f"the (sandbox) bank is asked about the account of {JOINS}"):
        member = books.wait_until("the bank has answered", heard)
    check = member.accounts[0].check
    screen.say(f"it is {check.outcome}, in the name of {check.name_at_bank}, which fits to {check.name_match} %")
    if (check.outcome, check.name_match) != ("VALID", 100):
        raise RuntimeError("the bank says something else than is true")
    if member.status == profiles_pb2.STATUS_SUBMITTED:
        approved = books.approve(manager, books.screened(manager, member.member_id, member.revision))
        screen.say(f"{JOINS} is approved: [bold]{approved.code}[/bold]")
