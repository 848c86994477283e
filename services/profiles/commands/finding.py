"""What officers say of findings: every word is kept, and of each finding the last one stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, bindparam, func, insert, update

from services.chassis import audit
from services.kernel.approval import Status
from services.kernel.caller import Caller
from services.kernel.errors import Conflict
from services.profiles import queries
from services.profiles.commands import record
from services.profiles.commands.events import findings_decided, member_changed, tell_all
from services.profiles.queries import MEMBER, AnyRow, Subject
from services.profiles.rules import review
from services.profiles.rules.review import Decided, Decision, Override, Verdict
from services.profiles.rules.revision import must_be_current
from services.profiles.tables import finding_decisions, findings, members, submissions


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of what a member handed in last, by finding id."""

    rows: dict[str, AnyRow]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        return {one: Verdict(row.verdict) for one, row in self.rows.items()}

    @property
    def overrides(self) -> dict[str, Override]:
        return {one: Override(row.override) for one, row in self.rows.items()}

    @property
    def standing(self) -> dict[str, Decided]:
        """What was decided on them before, as far as it counts still."""
        made = {one: Decided(one, Decision(row.decision), row.reason) for one, row in self.rows.items() if row.decision}
        return {one: made[one] for one in made if review.stands(Override(self.rows[one].override), made[one], self.rows[one].decided_role or "")}

    @property
    def for_supervisor(self) -> bool:
        return review.for_supervisor(self.overrides, self.standing)


def of(connection: Connection, subject: Subject) -> Found:
    return Found({row.finding_id: row for row in queries.findings_of(connection, [subject])[subject.row.id]})


def keep(connection: Connection, caller: Caller, subject: Subject, decisions: Sequence[Decided]) -> None:
    """Write down who decided what, and why."""
    if not decisions:
        return
    of_revision = {"member_id": subject.row.id, "member_revision": subject.profile.revision}
    who = {"decided_by": caller.user_id, "decided_role": caller.role or ""}
    said = [{"finding_id": one.finding_id, "decision": one.decision.value, "reason": one.reason} for one in decisions]
    connection.execute(insert(finding_decisions), [of_revision | who | one for one in said])
    one = update(findings).where(
        *(findings.c[name] == value for name, value in of_revision.items()),
        findings.c.finding_id == bindparam("finding"),
    )
    last = one.values(decision=bindparam("decided"), reason=bindparam("why"), decided_at=func.now(), **who)
    connection.execute(last, [{"finding": one["finding_id"], "decided": one["decision"], "why": one["reason"]} for one in said])


def decide(connection: Connection, caller: Caller, member_id: UUID, revision: int, decisions: Sequence[Decided]) -> Subject:
    """Decide on findings without letting her in or handing her back; the same again is the same answer."""
    subject = queries.member(connection, caller, member_id, for_update=True)
    spoken_of = subject.profile
    must_be_current(spoken_of.revision, revision)
    if spoken_of is subject.waiting:
        if spoken_of.status != Status.SUBMITTED:
            raise Conflict("NOTHING_WAITS", "Nothing of this record waits for you.")
        review.must_not_be_maker(caller, spoken_of.maker_user, spoken_of.maker_person)
    else:
        review.must_not_be_maker(caller, queries.maker_of(connection, member_id, revision), "")
    found = of(connection, subject)
    standing = found.standing
    checked = review.check_decisions(found.verdicts, review.within_tier(caller, found.overrides, standing, decisions))
    news = [one for one in checked if standing.get(one.finding_id) != one]
    if not news:
        return subject
    keep(connection, caller, subject, news)
    row, waiting = record.change(connection, members, subject.row), subject.waiting
    if spoken_of is waiting:
        waits = update(submissions).where(submissions.c.record_id == member_id).values(for_supervisor=of(connection, subject).for_supervisor)
        waiting = connection.execute(waits.returning(submissions)).one()
    made = Subject(MEMBER, row, waiting)
    said = {one.finding_id: one.decision.value for one in news}
    audit.changed(connection, caller, "member.findings", member_id, revision=revision, decisions=said)
    tell_all(connection, [member_changed(connection, made), findings_decided(made, revision, review.together(standing, news))])
    return made
