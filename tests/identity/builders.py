"""Users and institutions of an invented block, for the tests of identity."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

from sqlalchemy import delete, func, select

from protos import identity_pb2, profiles_pb2
from services.chassis import audit, mailbox
from services.identity.commands import consent, user
from services.identity.consumer import Consumer
from services.identity.rules import consent as rules
from services.identity.rules.assignment import Asked
from services.identity.rules.user import Here
from services.identity.tables import OF_USERS, cluster_gps, clusters, institutions
from services.kernel.caller import Caller, Role
from services.kernel.codes import check_digit
from services.kernel.geography import Geography, Place
from services.kernel.ids import uuid7
from services.kernel.policies import Period, Policies
from services.kernel.statefile import StateFile

TODAY = date(2026, 7, 1)
BLOCK = "9.178.1204"
GP, VILLAGE = f"{BLOCK}.77", f"{BLOCK}.77.5"
NAMES = {
    "9": "Pradesh",
    "9.178": "Zila",
    BLOCK: "Khand",
    GP: "Rampur",
    VILLAGE: "Rampur Kala",
    f"{GP}.6": "Belwa",
    f"{BLOCK}.78": "Sonpatti",
    f"{BLOCK}.78.7": "Belwa",
    "9.178.1205": "Dusra Khand",
    "9.179": "Dusra Zila",
}
GEOGRAPHY = Geography(Place(path, name, "", date(2020, 1, 1)) for path, name in NAMES.items())
STATE = StateFile("UP", "Uttar Pradesh", "IUP_", ("en", "hi"), 9)
HERE = Here(STATE, GEOGRAPHY, TODAY)
NATION = Here(StateFile("IN", "India", "IIN_", ("en", "hi")), Geography([]), TODAY)
NATIONAL_ADMIN = Caller("IIN_ADMIN", Role.NATIONAL_ADMIN)
STATE_ADMIN = Caller("IUP_STATE1", Role.STATE_ADMIN, "9")
DISTRICT_ADMIN = Caller("IUP_DIST1", Role.DISTRICT_ADMIN, "9.178")
BLOCK_ADMIN = Caller("IUP_BLOCK1", Role.BLOCK_ADMIN, BLOCK)
PASSWORD = "three green parrots"


def number():
    """One that nobody has: none begins with 0."""
    body = "0" + str(uuid4().int)[-10:]
    return body + check_digit(body)


def with_policies(**values):
    """An instance whose file sets these policies."""
    periods = {name: (Period(value, date(2020, 1, 1)),) for name, value in values.items()}
    return Here(StateFile("UP", "Uttar Pradesh", "IUP_", ("en", "hi"), 9, policies=Policies(periods)), GEOGRAPHY, TODAY)


def asked(role="SHG_BOOKKEEPER", region=VILLAGE, side="", institution_ids=(), cluster_ids=()):
    return Asked(role, region, side, frozenset(institution_ids), frozenset(cluster_ids))


OF_ASSIGNMENT = ("role", "region", "side", "institution_ids", "cluster_ids")


def create(connection, caller=BLOCK_ADMIN, here=HERE, **changes):
    plain = {"user_id": "IUP_SITA1", "full_name": "Sita  Devi", "mobile": "+91 98765 43210", "password": PASSWORD}
    of_user = {name: value for name, value in changes.items() if name not in OF_ASSIGNMENT}
    place = asked(**{name: value for name, value in changes.items() if name in OF_ASSIGNMENT})
    return user.create(connection, caller, here, user.Asked(**plain | of_user, assignment=place))


def nobody(connection):
    """The instance without users, institutions and clusters, whatever other tests left behind."""
    for table in (*OF_USERS, institutions, cluster_gps, clusters):
        connection.execute(delete(table))


BOOKKEEPER = Caller("IUP_SITA1", Role.SHG_BOOKKEEPER, VILLAGE)
GIVEN_AT = datetime(2026, 7, 1, 11, tzinfo=UTC)


def keeper(connection, region=VILLAGE):
    """A bookkeeper with an SHG, and that."""
    shg = heard(connection, region=region)
    return replace(BOOKKEEPER, institutions=frozenset({shg})), shg


def said(purpose="AADHAAR_ONLINE", at=GIVEN_AT, **changes):
    """A consent as a device says it, to all that today's notice names."""
    [notice] = rules.current(purpose, "hi", at.date())
    plain = {"consent_id": uuid7(), "member_id": uuid7(), "notice": notice, "data_items": notice.data_items, "channel": rules.Channel.ASSISTED}
    return rules.Given(**plain | {"device_id": "device-1", "proof": "image-1", "at": at, "until": None} | changes)


def give(connection, caller, shg, *, now=None, **changes):
    given = said(**changes)
    return consent.give(connection, caller, shg, given, now or given.at + timedelta(minutes=1))


def withdraw(connection, caller, consent_id, now=None):
    wanted = consent.Withdrawing(consent_id, rules.Channel.SELF, "device-1", "", None)
    return consent.withdraw(connection, caller, wanted, now or GIVEN_AT + timedelta(days=1))


def told(connection):
    """What this very transaction told."""
    ours = (mailbox.outbox.c.event == "UserChanged", mailbox.outbox.c.occurred_at >= func.now())
    rows = connection.execute(select(mailbox.outbox).where(*ours).order_by(mailbox.outbox.c.id))
    return [(identity_pb2.UserChanged.FromString(row.body), row.version, row.destination) for row in rows]


def audited(connection):
    return connection.execute(select(audit.audit.c.action, audit.audit.c.subjects).order_by(audit.audit.c.id.desc())).all()


def heard(connection, name="Jyoti", kind=profiles_pb2.KIND_SHG, region=VILLAGE, version=1, institution_id=None):
    made = institution_id or uuid7()
    body = profiles_pb2.InstitutionChanged(institution_id=str(made), kind=kind, name=name, region=region, status=profiles_pb2.STATUS_ACTIVE)
    Consumer().institution_changed(connection, SimpleNamespace(version=version, body=body))
    return made


def outbox(connection, name):
    """What this transaction has told by this name, in order."""
    mine = mailbox.outbox.c.event == name, mailbox.outbox.c.occurred_at >= func.now()
    return list(connection.execute(select(mailbox.outbox).where(*mine).order_by(mailbox.outbox.c.id)))
