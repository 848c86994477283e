"""make demo: a day of two states and the nation, played by clients against the running machine.

It may be played again: people and groups that are there already stay, and the next meeting is held.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from deploy.demo import bookkeeping, books, cast, meeting, rounds, screen
from deploy.demo.cast import Nation, State
from deploy.demo.client import Client, RefusedError
from deploy.machine import Machine
from deploy.machine.layout import PROJECT
from protos import gateway_pb2, identity_pb2, profiles_pb2, reporting_pb2
from services.kernel import month
from services.kernel.caller import Role
from services.kernel.money import grouped, rupees

SAMPLES = PROJECT / "samples"
# Ujala's list: the one whose name was misspelt, and how it is spelt.
MISSPELT, SPELT = "Mamta Dvei", "Mamta Devi"
# She shows no Aadhaar, and nobody is denied for it; a woman who looks very like her enrols later.
WITHOUT_AADHAAR, LOOKS_ALIKE = "Phoolmati Nishad", "Phulmati Nishad"
# One woman under two spellings: she has one Aadhaar.
SPELT_OTHERWISE, FIRST_SPELT = "Suneeta Devi", "Sunita Devi"
# She marries after she was approved.
BRIDE, HUSBAND = "Neelam Rajbhar", "Pintu Rajbhar"


def servers(machine: Machine) -> None:
    """Chapter 1: the instances, and the walls between them."""
    screen.chapter(1, "Two states and the nation")
    for code, instance in machine.instances.items():
        running = [name for name in machine.programs if name.startswith(code.lower() + "-")]
        screen.say(f"{code:2}  {instance.name}: users at {instance.grpc_address}; {', '.join(running)}")
    url = machine.instances["UP"].env["PROFILES_DATABASE_URL"].replace("+psycopg", "")
    with screen.step("UP's role is refused by BR's database, and profiles' role by identity's tables"):
        _must_fail(lambda: psycopg.connect(url.replace("lokos_up", "lokos_br")))
        with psycopg.connect(url) as connection:
            _must_fail(lambda: connection.execute("select * from identity.users"))


def _must_fail(attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except psycopg.Error:
        return
    raise RuntimeError("a wall has a hole: this should have been refused")


def hierarchy(nation: Nation, states: list[State]) -> None:
    """Chapter 2: users from the top; geography comes first, since every user has a place."""
    screen.chapter(2, "Who works here, from the National Admin down")
    nation.found()
    for state in states:
        for line in cast.take_in_geography(state, SAMPLES / "lgd").splitlines():
            screen.say(f"{state.code}: {line.removeprefix(state.code + ': ')}")
        with screen.step(f"the National Admin invites the State Admin of {state.code}, who redeems it"):
            if not cast.invite_state_admin(nation, state):
                screen.say("(she is there already)")
        with screen.step("each makes those below her and each logs in"):
            made = cast.make_officers(state)
        screen.say(" > ".join(made))


def lists(state: State) -> None:
    """Chapter 3: institutions, the bookkeeper mapping and the enrolment lists, as spreadsheets; bad rows are named."""
    code = state.code.lower()
    clerk, admin = state.clerk, state.block_admin
    upload("institutions", clerk, clerk.profiles.UploadInstitutions, profiles_pb2.UploadInstitutionsRequest, f"institutions_{code}.xlsx")

    def mapped() -> Any:  # noqa: ANN401 - a SheetAnswer
        # Identity hears of new institutions by event; until then their rows are refused as unknown.
        content = (SAMPLES / f"bookkeepers_{code}.xlsx").read_bytes()
        answer = admin(admin.identity.UploadBookkeepers, identity_pb2.UploadBookkeepersRequest(workbook=content), deadline_seconds=60)
        unknown = [row for row in answer.rows if row.refusal.code == "INSTITUTION_UNKNOWN"]
        return answer if len(unknown) <= 1 else None

    with screen.step("the bookkeeper mapping sheet goes up"):
        answer = books.wait_until("identity knows the institutions", mapped)
    show_rows(answer)
    keeper = keeper_of(state)
    keeper.forget_token()
    upload("members", keeper, keeper.profiles.UploadMembers, profiles_pb2.UploadMembersRequest, f"members_{code}.xlsx")


def approve_federations(state: State) -> None:
    """The VO's and the CLF's own bookkeepers hand them in, with office bearers from the groups below; the Block Program Manager approves."""
    bearers: dict[str, str] = {}
    for shg in cast.institutions_of(keeper_of(state)).values():
        if shg.status == profiles_pb2.STATUS_ACTIVE:
            bearers |= dict.fromkeys([one.member_id for one in active_members(keeper_of(state), shg)[:3]], shg.institution_id)
    for role, what in (("VO_BOOKKEEPER", "the Village Organisation"), ("CLF_BOOKKEEPER", "the Cluster Level Federation")):
        keeper = sheet_user(state, role)
        for name, held in cast.institutions_of(keeper).items():
            federation = held
            if federation.status == profiles_pb2.STATUS_DRAFT:
                federation = books.submit_institution(keeper, federation, bearers)
            if federation.status == profiles_pb2.STATUS_SUBMITTED:
                approved = books.approve_institution(state.manager, federation)
                screen.say(f"{what} {name} is approved: {approved.code}; its office bearers are members of the groups below")
            bearers = dict.fromkeys(bearers, federation.institution_id)  # One level up they stand for it.


def upload(what: str, client: Client, method: Any, request: Any, file: str) -> None:  # noqa: ANN401 - a stub's method and its request
    with screen.step(f"the list of {what} goes up: samples/{file}"):
        answer = client(method, request(workbook=(SAMPLES / file).read_bytes()), deadline_seconds=60)
    show_rows(answer)


def show_rows(answer: Any) -> None:  # noqa: ANN401 - a SheetAnswer
    screen.say(f"{answer.accepted} rows taken, {answer.refused} refused")
    for row in answer.rows:
        if row.refusal.code:
            screen.say(f"[yellow]row {row.row}: {row.refusal.sentence}[/yellow] ({row.refusal.code}, {row.refusal.field})")


def keeper_of(state: State) -> Client:
    return sheet_user(state, "SHG_BOOKKEEPER")


def sheet_user(state: State, role: str) -> Client:
    """A user of the mapping sheet."""
    return cast.mapped(state, str(mapped_person(state, Role(role).label)["User ID"]), role)


def mapped_person(state: State, label: str) -> dict[str, Any]:
    """The first row of a role in the mapping sheet, by column."""
    import openpyxl

    sheet = openpyxl.load_workbook(SAMPLES / f"bookkeepers_{state.code.lower()}.xlsx", read_only=True).worksheets[0]
    header, *rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
    return next(person for person in (dict(zip(map(str, header), row, strict=True)) for row in rows) if person["Role"] == label)


def enrol(state: State, shg_name: str, *, in_the_middle: Callable[[], None] | None = None) -> None:
    """Chapter 4, for one group: verified, handed in, screened, decided; then the group itself. Goes on from wherever it stands."""
    keeper, numbers = keeper_of(state), residents_of(state)
    shg = cast.institutions_of(keeper)[shg_name]
    drafts = [member for member in cast.members_of(keeper, shg.institution_id) if member.status == profiles_pb2.STATUS_DRAFT]
    if drafts:
        with screen.step(f"{shg_name}: {len(drafts)} women verified by e-KYC where they agree, asked what the list left open, and handed in"):
            for number, member in enumerate(drafts):
                if in_the_middle and number == len(drafts) // 2:
                    in_the_middle()
                books.submit(keeper, member, attest(keeper, member, numbers))
    waiting = [member for member in cast.members_of(keeper, shg.institution_id) if member.status == profiles_pb2.STATUS_SUBMITTED]
    if waiting:
        with screen.step(f"{shg_name}: the duplicate check of {len(waiting)} comes back over RabbitMQ"):
            found = [books.screened(state.manager, member.member_id, member.revision) for member in waiting]
        if shg_name == "Ujala" and len(found) > 1:
            expect_verdicts({member.name: member.verdict for member in found})
        do_tasks(state, keeper, found, numbers)
    shg = cast.institutions_of(keeper)[shg_name]
    if shg.status == profiles_pb2.STATUS_DRAFT:
        shg = books.submit_institution(keeper, shg, dict.fromkeys([one.member_id for one in active_members(keeper, shg)], shg.institution_id))
    if shg.status == profiles_pb2.STATUS_SUBMITTED:
        shg = books.approve_institution(state.manager, shg)
    member_codes = sorted(member.code for member in active_members(keeper, shg))
    screen.say(f"{shg_name} is approved: [bold]{shg.code}[/bold] with {len(member_codes)} members, {member_codes[0]} to {member_codes[-1]}")


def active_members(keeper: Client, shg: Any) -> list[Any]:  # noqa: ANN401 - an Institution, and Members
    return [member for member in cast.members_of(keeper, shg.institution_id) if member.status == profiles_pb2.STATUS_ACTIVE]


def do_tasks(state: State, keeper: Client, found: list[Any], numbers: dict[str, dict[str, str]]) -> None:
    """My Task: how much waits and the first page; at once those about whom nothing is open, the others one by one."""
    manager = state.manager
    counted = manager(manager.profiles.CountTasks, profiles_pb2.CountTasksRequest()).counts
    waiting = ", ".join(f"{one.waiting} {profiles_pb2.TaskKind.Name(one.kind)[10:]} ({one.plain} without open questions)" for one in counted)
    page = manager(manager.profiles.ListTasks, profiles_pb2.ListTasksRequest(institution_id=found[0].institution_id)).tasks
    screen.say(f"My Task of {manager.login.user_id if manager.login else ''}: {waiting}; first {page[0].name}, {page[0].days} days")
    plain = [task for task in page if not task.open_questions and task.name != MISSPELT]
    keys = [profiles_pb2.TaskKey(kind=task.kind, record_id=task.record_id, revision=task.revision) for task in plain]
    answer = manager(manager.profiles.ApproveMany, profiles_pb2.ApproveManyRequest(tasks=keys), deadline_seconds=60)
    let_in = {one.record_id for one in answer.answers if one.code}
    screen.say(f"   {answer.approved} approved at once; {len(found) - len(let_in)} are looked at one by one")
    for member in found:
        if member.member_id not in let_in:
            decide(state, keeper, member, numbers)


def expect_verdicts(verdicts: dict[str, int]) -> None:
    """The story is none unless the look-alike is flagged, the same woman is confirmed, and nobody else is."""
    expected = {LOOKS_ALIKE: profiles_pb2.VERDICT_POTENTIAL, SPELT_OTHERWISE: profiles_pb2.VERDICT_CONFIRMED}
    wrong = [name for name, verdict in verdicts.items() if verdict != expected.get(name, profiles_pb2.VERDICT_CLEAR)]
    if wrong:
        raise RuntimeError(f"the duplicate check says something else than is true of {', '.join(wrong)}")


def attest(keeper: Client, member: Any, numbers: dict[str, dict[str, str]]) -> str:  # noqa: ANN401 - a Member
    """The signed word that she was verified; empty where she shows no Aadhaar."""
    resident = numbers.get(member.name)
    return cast.verify_identity(keeper, member.member_id, member.institution_id, resident).attestation if resident else ""


def decide(state: State, keeper: Client, member: Any, numbers: dict[str, dict[str, str]]) -> None:  # noqa: ANN401 - a Member
    """What the Block Program Manager does with one member in her task list."""
    manager = state.manager
    for finding in member.findings:
        screen.say(f"[yellow]{member.name}[/yellow]: {profiles_pb2.Verdict.Name(finding.verdict)[8:].lower()}: {'; '.join(finding.clues)}")
    if member.verdict == profiles_pb2.VERDICT_CONFIRMED:
        refusal = books.refusal_of(lambda: books.approve(manager, member, reason="She says she is another"))
        screen.say(f"   to clear it is refused: {refusal.sentence} ({refusal.code})")
        reject(manager, member, "DUPLICATE", "Enrolled in another group already", profiles_pb2.DECISION_DUPLICATE_REJECT)
        screen.say("   rejected as a duplicate")
    elif member.name == MISSPELT:
        correct(state, keeper, member, numbers)
    else:
        supervised = any(finding.override == profiles_pb2.OVERRIDE_SUPERVISOR for finding in member.findings)
        books.approve(manager, member, "Seen at home with her papers: another woman" if member.findings else "", state.reader)
        if member.findings:
            screen.say(f"   cleared with a reason{' by the State Program Manager, whom this is left to' if supervised else ''}, and approved")


def correct(state: State, keeper: Client, member: Any, numbers: dict[str, dict[str, str]]) -> None:  # noqa: ANN401 - a Member
    """One section is handed back and the others are accepted; what comes back shows what changed, and what need not be looked at again."""
    manager, remark = state.manager, f"The name is {SPELT}, as her passbook has it"
    accepted = ("SECTION_PHONE", "SECTION_BANK", "SECTION_ADDRESS")
    sections = [profiles_pb2.SectionReview(section="SECTION_BASIC", reasons=["NAME_WRONG"], remark=remark)]
    sections += [profiles_pb2.SectionReview(section=section, accepted=True) for section in accepted]
    reject(manager, member, "NAME_WRONG", remark, sections=sections)
    told = next(one for one in cast.members_of(keeper, member.institution_id) if one.member_id == member.member_id)
    corrected = books.submit(keeper, told, attest(keeper, told, numbers), name=SPELT)
    again = books.screened(manager, corrected.member_id, corrected.revision)
    changed = "; ".join(f"{one.field}: {one.before} > {one.after}" for one in again.changes)
    seen = ", ".join(profiles_pb2.Section.Name(one.section)[8:].lower() for one in again.reviews if one.unchanged)
    screen.say(f"[yellow]{MISSPELT}[/yellow]: {', '.join(told.reasons)}, handed back ({told.remark}); handed in as revision {again.revision}")
    screen.say(f"   the checker sees what changed ({changed}) and what she accepted already ({seen}), and approves")
    books.approve(manager, again)


def reject(
    manager: Client,
    member: Any,  # noqa: ANN401 - a Member
    reason: str,
    remark: str,
    decision: int = 0,
    sections: Sequence[Any] = (),
) -> None:
    decisions = [
        profiles_pb2.FindingDecision(finding_id=finding.finding_id, decision=decision, reason=remark)  # type: ignore[arg-type]  # an enum's value
        for finding in member.findings
        if decision
    ]
    request = profiles_pb2.RejectMemberRequest(
        member_id=member.member_id,
        revision=member.revision,
        reasons=[reason],
        remark=remark,
        decisions=decisions,
        sections=sections,
    )
    manager(manager.profiles.RejectMember, request)


def marry(state: State) -> None:
    """An edit of who is active waits beside her record, which stays as it was until the checker has let it in."""
    keeper, manager = keeper_of(state), state.manager
    shg = cast.institutions_of(keeper)["Ujala"]
    bride = next(member for member in active_members(keeper, shg) if member.name == BRIDE)
    if bride.marital_status == "MARRIED":
        return
    if not bride.HasField("waiting"):
        bride = books.submit(keeper, bride, marital_status="MARRIED", relation="SPOUSE", relation_name=HUSBAND)
    seen = books.screened(manager, bride.member_id, bride.waiting.revision)
    edited = books.approve(manager, seen)
    screen.say(
        f"{BRIDE} has married: while revision {seen.waiting.revision} waits ({seen.waiting.marital_status}), "
        f"her record stays {seen.marital_status}; approved, it is {edited.marital_status}"
    )


def enrolments(machine: Machine, up: State, br: State) -> None:
    """Chapter 4: two groups in Uttar Pradesh, one in Bihar; a consumer is killed in the middle."""
    screen.chapter(4, "Women are enrolled: verified, compared, decided")

    def kill_consumer() -> None:
        pid = machine.pid("up-consume")
        if pid:
            os.kill(pid, signal.SIGKILL)
            screen.say(f"[red]kill -9[/red] of up-consume (process {pid}) while they come in: the supervisor brings it back, nothing is lost")

    enrol(up, "Roshni")
    enrol(up, "Ujala", in_the_middle=kill_consumer)
    enrol(br, "Deepak")
    marry(up)
    for state in (up, br):
        approve_federations(state)


def residents_of(state: State) -> dict[str, dict[str, str]]:
    """What each woman would tell the bookkeeper's device, by the name in her list; who shows no Aadhaar is not in it."""
    known = {one["name"]: one for one in cast.residents(Path(state.instance.env["LOKOS_SANDBOX_RESIDENTS_FILE"]))}
    known[MISSPELT] = known[SPELT]
    known[SPELT_OTHERWISE] = known[FIRST_SPELT]
    del known[WITHOUT_AADHAAR]
    return known


def meetings(up: State) -> None:
    """Chapter 5: a meeting is refused in words, and balances; two come from offline and are handed back; one line is taken back; books tie."""
    screen.chapter(5, "Ujala meets")
    keeper, approver = keeper_of(up), sheet_user(up, "SHG_TRANS_APPROVER")
    shg = cast.institutions_of(keeper)["Ujala"]
    active = [one.member_id for one in cast.members_of(keeper, shg.institution_id) if one.status == profiles_pb2.STATUS_ACTIVE]
    books.wait_until("the books know the group", lambda: _position(keeper, shg.institution_id))
    with screen.step("the bookkeeper's phone takes the group's books: what is on no other phone cannot come in later"):
        kept = bookkeeping.take_books(keeper, shg.institution_id)
    if not kept.number:
        first = meeting.next_meeting(kept, books.position(keeper, shg.institution_id), active)
        with screen.step("a first meeting: savings, a first loan, and one that the group has from its bank"):
            expect_stored(books.sync(keeper, [first]))
    held = meeting.next_meeting(kept, books.position(keeper, shg.institution_id), active)
    held.counted_cash_paise -= 1_000
    answer = books.sync(keeper, [held])[0]
    if answer.refusal.code != "CASH_UNBALANCED":
        raise RuntimeError(f"ten rupees are missing, and the answer is {answer.refusal.code}")
    screen.say(f"[yellow]refused: {answer.refusal.sentence}[/yellow] ({answer.refusal.code}, {answer.refusal.field})")
    held.counted_cash_paise += 1_000
    what = "attendance, savings, a repayment with the interest due, a loan, a fine, the bus, a withdrawal, a deposit"
    with screen.step(f"meeting {held.number}: {what}; it balances and closes"):
        expect_stored(books.sync(keeper, [held]))
    refusal = books.refusal_of(lambda: books.approve_meeting(second_self(up, shg), held.meeting_id))
    screen.say(f"the bookkeeper's own second user id tries to approve it: {refusal.sentence} ({refusal.code})")
    with screen.step("the approver approves all that waits at once"):
        bookkeeping.approve_waiting(approver)
    bookkeeping.offline(keeper, approver, kept, active)
    bookkeeping.take_back(keeper, approver, kept)
    with screen.step("the approver logs in on another phone, with the one-time password that comes to her mobile"):
        refusal_there = cast.on_another_device(up, approver)
    screen.say(f"her first phone, everywhere and within seconds: {refusal_there}")
    show_trial_balance(keeper, shg.institution_id)
    screen.say(bookkeeping.must_tie(keeper, shg.institution_id))


def _position(keeper: Client, institution_id: str) -> Any:  # noqa: ANN401 - a Position
    try:
        return books.position(keeper, institution_id)
    except RefusedError as error:
        if error.code != "INSTITUTION_UNKNOWN":
            raise
        return None


def expect_stored(answers: list[Any]) -> None:
    for answer in answers:
        if answer.refusal.code:
            raise RuntimeError(f"{answer.refusal.code}: {answer.refusal.sentence}")


def second_self(up: State, shg: Any) -> Client:  # noqa: ANN401 - an Institution
    """An approver's user id on the bookkeeper's own phone: the person claim tells that they are one woman."""
    person = mapped_person(up, "SHG Bookkeeper")
    cast.create_user(up, up.block_admin, "SECONDSELF", "SHG_TRANS_APPROVER", up.block, str(person["Mobile"]), [shg.institution_id])
    return up.client("SECONDSELF", "SHG_TRANS_APPROVER")


def show_trial_balance(keeper: Client, institution_id: str) -> None:
    from protos import transactions_pb2

    trial = keeper(keeper.transactions.TrialBalance, transactions_pb2.TrialBalanceRequest(institution_id=institution_id))
    rows = [[f"{head.head} {head.name}", rupees(head.debit_paise), rupees(head.credit_paise)] for head in trial.heads]
    rows.append(["[bold]Total[/bold]", f"[bold]{rupees(trial.debit_total_paise)}[/bold]", f"[bold]{rupees(trial.credit_total_paise)}[/bold]"])
    screen.table(f"Trial balance of Ujala through meeting {trial.through_number}", ["Head", "Debit", "Credit"], rows)
    if trial.debit_total_paise != trial.credit_total_paise:
        raise RuntimeError("the trial balance does not balance")


def next_round(up: State) -> None:
    """Chapter 6: a list grows, an upload is answered, a bank speaks, a woman moves."""
    screen.chapter(6, "The next round of the bookkeeper")
    keeper = keeper_of(up)
    rounds.add_to_list(up.admin, keeper)
    shgs = cast.institutions_of(keeper)
    rounds.go_round(keeper, up.manager, left=shgs["Ujala"], joined=shgs["Roshni"])


def reports(machine: Machine, nation: Nation, up: State) -> None:
    """Chapter 7: the state's report, the nation's, and the nation's while a state is away."""
    screen.chapter(7, "What the state reads, and what the nation reads")
    this_month = month.month_of(month.today())
    held = books.position(keeper_of(up), cast.institutions_of(keeper_of(up))["Ujala"].institution_id).approved_through
    with screen.step("the state's figures hear of the meetings"):
        request = reporting_pb2.ReportRequest(report="summary", region="9", level="STATE", from_month="2000-01", to_month=this_month)
        books.wait_until("the meetings are in the figures", lambda: _figure(up, request, "meetings_held") >= held)
    with screen.step("the nation asks both states"):
        answer = books.wait_until("both states are fresh", lambda: _all_fresh(nation, this_month))
    show_national("All states answer", answer)
    machine.stop("br-serve")
    try:
        with screen.step("Bihar's server is stopped; the same report answers within its deadline"):
            answer = ask(nation, this_month)
        show_national("Bihar is away", answer)
        if [part.freshness for part in answer.parts if part.state == "BR"] == [gateway_pb2.FRESHNESS_FRESH]:
            raise RuntimeError("a state that is away cannot be fresh")
    finally:
        machine.start("br-serve")
        machine.wait_well("br-serve")
    with screen.step("Bihar is back"):
        answer = books.wait_until("both states are fresh again", lambda: _all_fresh(nation, this_month))
    show_national("All states answer again", answer)


def _figure(state: State, request: Any, name: str) -> int:  # noqa: ANN401 - a ReportRequest
    answer = state.reader(state.reader.reporting.Report, request)
    return int(answer.rows[0].values[[column.name for column in answer.columns].index(name)]) if answer.rows else 0


def ask(nation: Nation, to_month: str) -> Any:  # noqa: ANN401 - a NationalReportResponse
    request = gateway_pb2.NationalReportRequest(report="summary", level="STATE", from_month="2000-01", to_month=to_month)
    gateway = nation.gateway()
    return gateway(gateway.gateway.NationalReport, request, retry_seconds=20)


def _all_fresh(nation: Nation, to_month: str) -> Any:  # noqa: ANN401 - a NationalReportResponse
    answer = ask(nation, to_month)
    fresh = [part.state for part in answer.parts if part.freshness == gateway_pb2.FRESHNESS_FRESH]
    return answer if sorted(fresh) == ["BR", "UP"] else None


def show_national(title: str, answer: Any) -> None:  # noqa: ANN401 - a NationalReportResponse
    shown = ["members_active", "shgs_active", "meetings_held", "savings_paise", "loans_disbursed_paise"]
    places = {column.name: place for place, column in enumerate(answer.columns)}
    rows = [
        [row.name, *(rupees(row.values[places[name]]) if name.endswith("_paise") else grouped(row.values[places[name]]) for name in shown)]
        for row in answer.rows
    ]
    screen.table(title, ["State", *(name.replace("_paise", "").replace("_", " ") for name in shown)], rows)
    for part in answer.parts:
        word = gateway_pb2.Freshness.Name(part.freshness)[10:]
        age = f", {part.age_seconds} s old: {part.reason}" if part.reason else ""
        screen.say(f"{part.state}: [bold]{word}[/bold]{age}")
    screen.say(f"{grouped(answer.members_covered)} of {grouped(answer.members_registered)} registered members are covered")


def farewell(machine: Machine, nation: Nation, up: State) -> None:
    """Where it all is, and how to end it."""
    screen.chapter(8, "It goes on running")
    for code, instance in machine.instances.items():
        screen.say(f"{code}: gRPC at {instance.grpc_address}, authority {instance.ca_file}")
    screen.say(f"the nation's gateway: {nation.instance.gateway_address}")
    screen.say(f"log in for instance as {up.user_id('BPM')} in the role BLOCK_PROGRAM_MANAGER with the password {cast.password(up.user_id('BPM'))!r}")
    screen.say("make status shows the processes, make logs follows them, [bold]make down[/bold] stops everything")
    screen.console.print(f"\n[bold green]The story is told in {screen.took():.0f} s.[/bold green]")


def main() -> int:
    argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__).parse_args()
    machine = Machine.from_environment()
    nation, up, br = Nation(machine), State(machine, "UP"), State(machine, "BR")
    try:
        servers(machine)
        hierarchy(nation, [up, br])
        screen.chapter(3, "Institutions, bookkeepers and members come in from files")
        for state in (up, br):
            lists(state)
        enrolments(machine, up, br)
        meetings(up)
        next_round(up)
        reports(machine, nation, up)
        farewell(machine, nation, up)
    except (RefusedError, RuntimeError) as error:
        screen.console.print(f"[bold red]The story stopped:[/bold red] {error}")
        screen.say("make logs shows what the processes say; python3 -m deploy.machine down --wipe starts over")
        return 1
    finally:
        for state in (nation, up, br):
            state.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
