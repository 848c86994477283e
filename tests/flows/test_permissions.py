"""Who may call what, walked: every RPC in every role, for what is hers and what is not, with good tokens and bad, as the protos have it."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from deploy.demo import books, cast
from deploy.demo.cast import State, take_in_geography, workbook
from deploy.demo.client import Client, refused
from deploy.demo.ledger import Ledger
from protos import identity_pb2, profiles_pb2, transactions_pb2
from services.chassis import contracts, database, ended, mailbox, tokens
from services.identity.rules import consent as consents
from services.identity.rules.sheet import ASSIGNED, COLUMNS, GP, MOBILE, NAME, ROLE, USER_ID, VILLAGE
from services.kernel import geography
from services.kernel.caller import BOOKKEEPERS, COMMUNITY, CREATES, LEVEL_OF, Caller, Role, Session, Sight
from services.kernel.ids import uuid7
from services.kernel.month import today
from services.kernel.region import NOWHERE, at_level, contains
from tests.flows.world import FIRST, FORMED, LAST, MEMBERS, ROOT, strange_name
from tests.profiles.test_image import png

pytestmark = [pytest.mark.flow, pytest.mark.timeout(300)]

DEADLINE_SECONDS = 20
# What the door says no with, whatever is asked, and what it says where it knows from the token that it is not hers.
NOT_LET_IN = {"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_FOREIGN", "TOKEN_PURPOSE", "ROLE_NOT_ALLOWED", "SCOPE_NOT_ALLOWED"}
NOT_HERS = {"REGION_NOT_YOURS", "INSTITUTION_NOT_YOURS"}
# What else is expected: that she may, that she also finds it, that she does not.
MAY, SEEN, UNSEEN = "may", "seen", "unseen"

# The lists, and what of a subject they show. A page that begins right before it shows it first, or not at all.
LISTS = {
    "ListInstitutions": "institution_id",
    "ListMembers": "member_id",
    "ListTasks": "record_id",
    "ListFlagged": "member_id",
    "ListMeetings": "meeting_id",
    "ListWaiting": "meeting_id",
    "ListUsers": "user_id",
}
# Sheets and uploads refuse by the item.
BY_ITEM = {"SyncMeetings", "ApproveMeetings", "UploadInstitutions", "UploadMembers", "UploadBookkeepers", "ApproveMany"}
# Who says of what is not in sight something of its own: a row's place may be unknown, a user id taken, and a new institution may be made.
UNSEEN_CODES = {
    "CreateUser": {"USER_EXISTS", "USER_ID_INVALID"},
    "UploadBookkeepers": {"REGION_UNKNOWN", "INSTITUTION_UNKNOWN", "USER_ID_INVALID"},
    "SyncMeetings": {"INSTITUTION_NOT_YOURS"},
    "SubmitMemberEvent": {"MEMBER_UNKNOWN", "INSTITUTION_NOT_YOURS"},
    "SubmitInstitutionEvent": {"INSTITUTION_UNKNOWN", "INSTITUTION_NOT_YOURS"},
    "UploadInstitutions": {"REGION_NOT_YOURS", "REGION_UNKNOWN"},
    "SubmitInstitution": {"INSTITUTION_NOT_YOURS", "REGION_UNKNOWN"},
    "PutImage": {"INSTITUTION_NOT_YOURS"},
}
THERE_IS_NONE = {f"{what}_UNKNOWN" for what in ("INSTITUTION", "MEMBER", "MEETING", "SCREENING", "USER", "RECORD", "ACCOUNT", "IMAGE", "CONSENT")}
# What a request says besides whom it is about: what is well formed, and changes nothing.
SAID = {
    "revision": 99,
    "remark": "Walked by",
    "reasons": ["OTHER"],
    "report": "summary",
    "level": "VILLAGE",
    "from_month": "2020-01",
    "to_month": "2020-01",
    "password": "a long enough one 7",
    "role": Role.BLOCK_THEMATIC_USER,
    "full_name": "Walked By",
    "dry_run": True,
    "content": png(),
    "text": "Walked",
}
NOTICE = consents.current("BANK_SHARING", "hi", today())[0]  # On which nobody relies.
# What the walk itself sees nobody do, and why.
NOT_DONE = {
    **dict.fromkeys(("SwitchRole", "Logout", "ChangePassword"), "Nobody here has logged in."),
    **dict.fromkeys(("ApproveMember", "ApproveInstitution"), "Done once for each subject, or there would be none."),
    **dict.fromkeys(("RejectMember", "RejectInstitution", "ApproveMany"), "Done once, in the last test here."),
    **dict.fromkeys(("ApproveMeeting", "ApproveMeetings", "RejectMeeting"), "Done once, in the last test here."),
    **dict.fromkeys(("WithdrawMember", "WithdrawInstitution"), "What was handed in stays with the checker until she has decided."),
    "SubmitInstitutionEvent": "Done there too: what has members to be decided, or is not approved yet, is not closed.",
    **dict.fromkeys(("StartKyc", "ConfirmKyc"), "For residents whom the provider knows."),
    **dict.fromkeys(("VerifySecureQr", "VerifyOfflineEkyc"), "Of papers that somebody has signed."),
    **dict.fromkeys(("ProposeCertificate", "ConfirmCertificate", "RevokeCertificate"), "Of certificates that papers are signed by."),
    "SplitRepayment": "Of a loan that nobody has.",
    "AllowContestedLoans": "Of loans to members whom nobody contests.",
    "InviteStateAdmin": "In the national instance alone.",
    "EndedSessions": "For a program, and no role.",
}
# The approvers decide on the meetings of their own kind alone, and here all are an SHG's.
DECIDED_BY_KIND = {"ApproveMeeting", "ApproveMeetings", "RejectMeeting"}
# What names a region that the door does not hold against hers, since whoever is in charge of clusters may name her own block.
OF_HER_BLOCK = {"ListClusters": "block"}


@dataclass
class Subject:
    """An institution, the federations above it, and what is in it: a flagged member, a meeting to be approved; and an officer of its block."""

    name: str
    region: str
    line: tuple[str, ...]  # Its own id first.
    says: dict[str, object] = field(default_factory=dict)  # What a request about it says, by the names of fields and of messages.
    here: bool = True  # False: in another instance.

    @property
    def institution_id(self):
        return self.line[0]


@dataclass
class Stand:
    """Somebody at work, where she is at work."""

    name: str
    caller: Caller
    token: str

    def sees_region(self, region):
        return any(contains(hers, region) for hers in self.caller.clusters or (self.caller.region,))

    def sees(self, subject):
        if not subject.here:
            return False
        if self.caller.sight is Sight.REGION:
            return self.sees_region(subject.region)
        ids = subject.line if self.caller.sight is Sight.BELOW else subject.line[:1]
        return bool({str(one) for one in self.caller.institutions} & set(ids))


@dataclass
class Answer:
    status: grpc.StatusCode
    code: str
    words: str
    said: object = None

    @property
    def is_ok(self):
        return self.status is grpc.StatusCode.OK

    @property
    def is_our_bug(self):
        return self.status in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.DEADLINE_EXCEEDED}


_signing = threading.Lock()


def sign(instance, caller, life=tokens.ACCESS_LIFE):
    """A token as the instance itself signs it, with its own key, which a test may read."""
    with _signing, pytest.MonkeyPatch.context() as environment:
        for name, value in instance.env.items():
            environment.setenv(name, value)
        environment.setattr(tokens, "ACCESS_LIFE", life)
        return tokens.sign_caller(caller)[0]


class Signed(Client):
    """Somebody at work who never logged in."""

    def __init__(self, instance, caller):
        super().__init__(instance.grpc_address, instance.ca_file)
        self._signed = sign(instance, caller)

    @property
    def token(self):
        return self._signed


def at_work(instance, role, region, *institution_ids):
    return Signed(
        instance, Caller(f"{instance.state.user_prefix}WALK{role.replace('_', '')}"[:24], role, region, frozenset(map(UUID, institution_ids)))
    )


class Makers:
    """Makes subjects through the front door, as lists, forms and approvals do."""

    def __init__(self, instance, tag):
        self.instance, self.tag = instance, tag
        self.dice, self.number = random.Random(tag), count()

    def line(self, village):
        """An SHG, its VO and its CLF; their ids in that order."""
        block, gp = village.rsplit(".", 2)[0], village.rpartition(".")[0]
        name = f"{self.tag} {village.replace('.', ' ')}"
        header = ["Kind", "Name", "Local name", "Region", "Formed on", "Parent", "Compulsory savings (₹)"]
        rows = [
            ["SHG", f"Samooh {name}", "", village, FORMED, f"Gram {name}", 50],
            ["VO", f"Gram {name}", "", gp, FORMED, f"Sankul {name}", 50],
            ["CLF", f"Sankul {name}", "", block, FORMED, "", 50],
        ]
        clerk = at_work(self.instance, Role.BLOCK_THEMATIC_USER, block)
        answer = clerk(
            clerk.profiles.UploadInstitutions, profiles_pb2.UploadInstitutionsRequest(workbook=workbook(header, rows)), deadline_seconds=60
        )
        assert answer.refused == 0, answer.rows
        return tuple(row.id for row in answer.rows)

    def subjects(self, name, village):
        """The SHG, active, with a meeting to be approved and a member to be looked at; its VO; its CLF."""
        line = self.line(village)
        block = village.rsplit(".", 2)[0]
        keeper = at_work(self.instance, Role.SHG_BOOKKEEPER, village, line[0])
        manager = at_work(self.instance, Role.BLOCK_PROGRAM_MANAGER, block)
        supervisor = at_work(self.instance, Role.DISTRICT_PROGRAM_MANAGER, at_level(block, 2))
        enrolled = [books.submit(keeper, self.woman(line[0])) for _ in range(MEMBERS)]
        for one in enrolled:
            books.approve(manager, books.screened(manager, one.member_id, 1), "Seen at home: another woman", supervisor)

        def look(institution_id):
            return manager(manager.profiles.GetInstitution, profiles_pb2.GetInstitutionRequest(institution_id=institution_id))

        books.approve_institution(
            manager, books.submit_institution(keeper, look(line[0]), dict.fromkeys([one.member_id for one in enrolled], line[0]))
        )
        flagged = profiles_pb2.Member()
        flagged.CopyFrom(enrolled[0])
        flagged.member_id, flagged.revision = str(uuid7()), 0
        flagged = books.screened(manager, books.submit(keeper, flagged).member_id, 1)
        assert flagged.findings
        [task] = manager(manager.profiles.ListTasks, profiles_pb2.ListTasksRequest(institution_id=line[0])).tasks
        image = keeper(keeper.profiles.PutImage, profiles_pb2.PutImageRequest(institution_id=line[0], content=SAID["content"]))
        kept = Ledger(line[0], keeper(keeper.transactions.GetChart, transactions_pb2.GetChartRequest()))
        consent = cast.consent(keeper, flagged.member_id, line[0], "BANK_SHARING")
        meeting = books.savings_meeting(kept, today(), [one.member_id for one in enrolled], 5000)
        [answer] = books.sync(keeper, [meeting])
        assert answer.outcome == transactions_pb2.OUTCOME_APPLIED, answer
        officer = self.officer(block)
        made = []
        for kind, place, own in (("SHG", village, line), ("VO", village.rpartition(".")[0], line[1:]), ("CLF", block, line[2:])):
            institution = look(own[0])
            says = {"institution_id": own[0], "Institution": institution, "upload_id": str(uuid7()), **officer}
            says |= {"UploadItem": profiles_pb2.UploadItem(institution=institution)}
            if kind == "SHG":
                says |= {"member_id": flagged.member_id, "Member": flagged, "meeting_id": meeting.meeting_id, "MeetingSheet": meeting}
                says |= {"ApproveMeetingRequest": transactions_pb2.ApproveMeetingRequest(meeting_id=meeting.meeting_id, revision=SAID["revision"])}
                says |= {"record_id": flagged.member_id, "row_id": flagged.accounts[0].row_id, "image_id": image.image_id}
                says |= {"active_id": enrolled[-1].member_id, "finding_id": flagged.findings[0].finding_id, "consent_id": consent.consent_id}
                says |= {"Task": task, "TaskKey": profiles_pb2.TaskKey(kind=task.kind, record_id=task.record_id, revision=task.revision)}
            made.append(Subject(f"{name} {kind}", place, own, says))
        return made

    def woman(self, institution_id):
        return profiles_pb2.Member(
            member_id=str(uuid7()),
            institution_id=institution_id,
            name=f"{self.dice.choice(FIRST)} {self.dice.choice(LAST)} {self.dice.choice(FIRST)}",
            gender="FEMALE",
            birth_year=self.dice.randrange(1960, 1995),
            relation="SPOUSE",
            relation_name=f"{self.dice.choice(FIRST)} {self.dice.choice(LAST)}",
            social_category="OBC",
            joined_on=date(2016, 1, 1).isoformat(),
            accounts=[
                profiles_pb2.BankAccount(
                    row_id=str(uuid7()), ifsc="ZZZZ0KLD001", account_number=str(self.dice.randrange(10**12)), holding="SINGLE", is_default="YES"
                )
            ],
        )

    def officer(self, block):
        """A user of the block, as whom nobody ever logs in, and a cluster of it: as what is asked about them says them."""
        admin = at_work(self.instance, Role.BLOCK_ADMIN, block)
        says = {"user_id": f"{self.instance.state.user_prefix}W{self.tag}{next(self.number)}1", "mobile": f"9{self.dice.randrange(10**8, 10**9)}"}
        assignment = identity_pb2.Assignment(role=SAID["role"], region=block)
        admin(admin.identity.CreateUser, identity_pb2.CreateUserRequest(full_name=SAID["full_name"], assignment=assignment, **says))
        cluster = admin(
            admin.identity.SaveCluster,
            identity_pb2.SaveClusterRequest(cluster=identity_pb2.Cluster(cluster_id=str(uuid7()), block=block, name=f"Walked {self.tag}")),
        )
        return says | {"Cluster": cluster}


class Walk:
    """One state with its neighbours, everybody who may stand in it, and what they may ask about."""

    def __init__(self, machine):
        self.instance, neighbour, self.nation = (machine.instances[code] for code in ("UP", "BR", "IN"))
        tag = f"{random.randrange(16**5):05X}"
        states = State(machine, "UP"), State(machine, "BR")
        for state in states:
            take_in_geography(state, ROOT / "samples" / "lgd")
        self.block, abroad = (state.block for state in states)
        self.district = self.block.rpartition(".")[0]
        self.sibling, self.far = f"{self.district}.1599", f"{self.district}9.1699"
        first, *_, last = states[0].villages
        self.file = Path(self.instance.env["LOKOS_GEOGRAPHY_FILE"])
        more = {path for block in (self.sibling, self.far) for path in (at_level(block, 2), block, f"{block}.999901", f"{block}.999901.999981")}
        more.remove(self.district)
        self.places = [place for place in geography.read_places(self.file) if place.path not in more]
        geography.save(self.file, [*self.places, *(geography.Place(path, path, "", date(1900, 1, 1)) for path in sorted(more))])
        up = Makers(self.instance, tag)
        wanted = [
            (up, "her own", first),
            (up, "another's", last),
            (up, "the sibling block's", f"{self.sibling}.999901.999981"),
            (up, "the other district's", f"{self.far}.999901.999981"),
            (Makers(neighbour, tag), "the other state's", states[1].villages[0]),
        ]
        with ThreadPoolExecutor(len(wanted)) as together:  # Each waits for what is told to have been heard.
            made = list(together.map(lambda one: one[0].subjects(*one[1:]), wanted))
        self.own = made[0]
        self.subjects = [*self.own, *(shg for shg, _vo, _clf in made[1:])]
        self.subjects[-1].here = False
        self.gp = self.own[1].region
        # Wider, hers, beside hers, and elsewhere.
        self.regions = [at_level(self.block, 1), self.district, self.block, self.gp, self.sibling, at_level(self.far, 2), self.far, "10", abroad]
        self.foreign = {code: sign(one, Caller("ISOME", Role.STATE_ADMIN, "")) for code, one in (("UP", neighbour), ("IN", self.instance))}
        self.channels = {
            address: grpc.secure_channel(address, grpc.ssl_channel_credentials(instance.ca_file.read_bytes()))
            for instance, address in ((self.instance, self.instance.grpc_address), (self.nation, self.nation.gateway_address))
        }

    def close(self):
        geography.save(self.file, self.places)
        for channel in self.channels.values():
            channel.close()

    def stands(self, instance):
        """Every role where it belongs, and those that may stand in two ways."""
        shg, vo, clf = (frozenset({UUID(one.institution_id)}) for one in self.own)
        mapped = {
            Role.SHG_BOOKKEEPER: shg,
            Role.VO_BOOKKEEPER: vo,
            Role.CLF_BOOKKEEPER: clf,
            Role.SHG_TRANS_APPROVER: vo,
            Role.VO_TRANS_APPROVER: clf,
        }
        assert set(mapped) == COMMUNITY
        callers = {
            role: Caller(f"IUP_{role}"[:20], role, at_level(self.block, LEVEL_OF.get(role, 3)), mapped.get(role, frozenset())) for role in Role
        }
        on_the_vo_side, manager = callers[Role.SHG_TRANS_APPROVER], callers[Role.BLOCK_PROGRAM_MANAGER]
        more = {
            "SHG_TRANS_APPROVER on the CLF's side": replace(on_the_vo_side, institutions=clf),
            "BLOCK_PROGRAM_MANAGER in charge of a cluster": replace(manager, clusters=(self.gp,)),
            "BLOCK_PROGRAM_MANAGER in charge of nothing": replace(manager, clusters=(NOWHERE,)),
        }
        return [Stand(name, caller, sign(instance, caller)) for name, caller in {**callers, **more}.items()]

    def at(self, service):
        """The instance that is asked, and its door."""
        instance, address = (self.nation, self.nation.gateway_address) if service == "gateway" else (self.instance, self.instance.grpc_address)
        return instance, self.channels[address]

    def ask(self, channel, method, request, token):
        call = channel.unary_unary(
            f"/{method.containing_service.full_name}/{method.name}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        try:
            said = call(request, metadata=(("authorization", f"Bearer {token}"),) if token else (), timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            told = refused(error)
            return Answer(told.status, told.code, told.sentence)
        if method.name not in BY_ITEM:  # Of what was uploaded, a refused item is no refusal of whoever asks what became of it.
            return Answer(grpc.StatusCode.OK, "", "", said)
        items = [row.refusal for one, rows in said.ListFields() if one.message_type and one.is_repeated for row in rows if hasattr(row, "refusal")]
        return Answer(grpc.StatusCode.OK, items[0].code if items else "", "", said)


@pytest.fixture(scope="module")
def walk(running):
    made = Walk(running)
    yield made
    made.close()


# --- Requests, from the protos.


def fill(message, says):
    """Say in a request whatever is known by the names of its fields, and of the messages in it."""
    for one in message.DESCRIPTOR.fields:
        value = says.get(one.message_type.name if one.message_type else one.name)
        if one.message_type and value is None:
            if one.message_type.file.package.startswith("lokos") and one.message_type.name != "Page" and not one.is_repeated:
                fill(getattr(message, one.name), says)
        elif one.message_type:
            getattr(message, one.name).add().CopyFrom(value) if one.is_repeated else getattr(message, one.name).CopyFrom(value)
        elif value is not None and isinstance(value, list) == bool(one.is_repeated):
            getattr(message, one.name).extend(value) if one.is_repeated else setattr(message, one.name, value)


def request_about(rpc, method, subject, region=""):
    """The RPC's request about a subject, naming a region where it names one; None where there is nothing of the kind to ask about."""
    fields = {one.name: one for one in method.input_type.fields}
    needed = fields.keys() | {one.message_type.name for one in fields.values() if one.message_type}
    needed |= {"active_id"} if method.name == "SubmitMemberEvent" else set()
    of_shgs = {
        "active_id",
        "member_id",
        "meeting_id",
        "record_id",
        "image_id",
        "consent_id",
        "Member",
        "MeetingSheet",
        "ApproveMeetingRequest",
        "TaskKey",
    }
    if needed & of_shgs - subject.says.keys():
        return None
    # An officer is mapped to no institution: with one in it, what would make or change a user is refused for it. Where she is already she stays.
    elsewhere = [] if region == at_level(subject.region, 3) else [subject.institution_id]
    said = SAID | subject.says | {"institution_ids": elsewhere, "workbook": sheet(method.name, subject)} | of_one(method.name, subject)
    request = GetMessageClass(method.input_type)()
    fill(request, said | {"kyc_id": str(uuid7())})
    if "event" in fields:
        request.event.ClearField("new_institution")  # Nothing is split.
    if where := region_of(rpc):
        *path, name = where.split(".")
        setattr(named(request, path), name, region)
    if method.name in LISTS:
        shown = subject.says.get(LISTS[method.name])
        if shown is None:
            return None
        request.page.size = 1 if method.name != "ListMeetings" else 0  # Of its one institution it shows all.
        if request.page.size:
            request.page.after = right_before(method.name, subject, shown)
    return request


def of_one(name, subject):
    """What is said in one RPC alone."""
    event = {"on": today().isoformat()}
    days = {"from_on": today().isoformat(), "to_on": today().isoformat()}
    return {
        "SetUserStatus": {"status": identity_pb2.USER_STATUS_ACTIVE},  # Which she is: nothing changes.
        "RemoveRole": {"role": Role.STATE_THEMATIC_USER},  # Which she has not.
        "SubmitMemberEvent": event | {"record_id": subject.says.get("active_id"), "act": profiles_pb2.ACT_LEAVE, "reason": "VOLUNTARY"},
        "SubmitInstitutionEvent": event | {"record_id": subject.institution_id, "act": profiles_pb2.ACT_CLOSE, "reason": "DEFUNCT"},
        "GetDigitalId": {"record_id": subject.says.get("active_id")},  # Who is not approved has none yet.
        "DecideFindings": {"revision": 1},  # On none: nothing changes.
        **dict.fromkeys(("CashBook", "ReceiptsAndPayments"), days),
        "GiveConsent": {
            "consent_id": str(uuid7()),
            "purpose": NOTICE.purpose,
            "notice_version": NOTICE.version,
            "language": NOTICE.language,
            "notice_hash": NOTICE.hash.hex(),
            "data_items": list(NOTICE.data_items),
            "channel": "ASSISTED",
        },
        "WithdrawConsent": {"channel": "SELF"},
        "SplitRepayment": {"loan_id": str(uuid7()), "amount_paise": 1},
        "AllowContestedLoans": {"revision": 1, "reason": "Walked by"},
        "StartBatch": {"batch_id": str(uuid7())},
        "ListAnomalies": days | {"kinds": ["NOBODY_PRESENT"], "after": ""},
        "Passbook": days | {"member_id": subject.says.get("active_id")},  # The books do not know who is pending.
    }.get(name, {})


def right_before(name, subject, shown):
    """The end of a page that the subject comes right after."""
    if name == "ListUsers":
        return shown[:-1] + "0"
    if name == "ListTasks":
        return f"{(subject.says['Task'].submitted_at.ToDatetime(UTC) - timedelta(microseconds=1)).isoformat()}/{shown}"
    if name == "ListWaiting":
        return f"{subject.institution_id}.0"
    return str(UUID(int=UUID(shown).int - 1))


def region_of(rpc):
    """Which field of its request names a region."""
    return rpc.region or OF_HER_BLOCK.get(rpc.name, "")


def unnamed(request):
    """The same list, asked without a word of what it is to show."""
    asked = type(request)()
    asked.page.CopyFrom(request.page)
    return asked


def named(request, path):
    for name in path:
        request = getattr(request, name)
    return request


def sheet(name, subject):
    """A list whose one row is about the subject; it is asked what would become of it."""
    place = subject.region
    if name == "UploadInstitutions":
        header = ["Kind", "Name", "Local name", "Region", "Formed on", "Parent", "Compulsory savings (₹)"]
        kind = {3: "CLF", 4: "VO", 5: "SHG"}[place.count(".") + 1]
        return workbook(header, [[kind, "Walked By", "", place, FORMED, "", 50]])
    if name == "UploadMembers":
        header = ["SHG", "Village", "Name", "Local name", "Gender", "Date of birth", "Birth year", "Relation", "Relation name", "Social category"]
        header += ["Mobile", "Account number", "IFSC", "Account holding", "Joined on"]
        shg = subject.says["Institution"].name
        return workbook(header, [[shg, place, "Walked By", "", "Female", "", 1980, "Spouse", "Walked Past", "OBC", "", "", "", "", date(2016, 1, 1)]])
    if name == "UploadBookkeepers":
        return workbook(COLUMNS, [keeper_row(subject)])
    return b"no workbook"


def keeper_row(subject):
    """A row that maps a new bookkeeper to the subject."""
    levels = subject.region.split(".")
    kind = {3: "CLF", 4: "VO", 5: "SHG"}[len(levels)]
    cells = {USER_ID: f"{subject.says['user_id']}B", NAME: "Walked Past", MOBILE: subject.says["mobile"], ROLE: f"{kind} Bookkeeper"}
    cells |= dict(zip((GP, VILLAGE), levels[3:], strict=False)) | {ASSIGNED[kind]: subject.says["Institution"].name}
    return [cells.get(column) for column in COLUMNS]


# --- What must come of them.


def expected(rpc, stand, subject, request, region):
    """The code that it is refused with, or MAY, SEEN, UNSEEN."""
    role = stand.caller.role
    if not (rpc.any_role or role in rpc.roles):
        return "ROLE_NOT_ALLOWED"
    if region_of(rpc):
        hers = stand.sees_region(region) if rpc.region else contains(stand.caller.region, region)
        return MAY if hers else "REGION_NOT_YOURS"
    if rpc.institution and role in BOOKKEEPERS and not stand.sees(subject):
        return "INSTITUTION_NOT_YOURS"
    if rpc.bound == "OWN" or not is_about_something(rpc, request):
        return MAY
    due = SEEN if stand.sees(subject) else UNSEEN
    if due == SEEN and role is Role.VO_TRANS_APPROVER and rpc.name in DECIDED_BY_KIND:
        due = "APPROVER_KIND"
    if role is Role.VO_TRANS_APPROVER and rpc.name == "ListWaiting":
        due = UNSEEN  # She is shown what she decides on.
    if due == SEEN and changes_user(rpc, request) and SAID["role"] not in CREATES[role]:
        due = "MAY_NOT_CREATE"  # Who may create her is who may change her.
    return due


def changes_user(rpc, request):
    return rpc.name not in {"GetUser", "CreateUser"} and "user_id" in {one.name for one, _ in request.ListFields()}


def is_about_something(rpc, request):
    """Whether it is about something that there is, which may be in sight or not."""
    about = {"institution_id", "member_id", "meeting_id", "user_id", "record_id", "image_id", "consent_id", "institution", "member", "event"}
    return rpc.name in LISTS or rpc.name in BY_ITEM or bool({one.name for one, _ in request.ListFields()} & about)


def is_as_due(rpc, subject, answer, due):
    """Whether an answer is what must come of it."""
    if due == MAY:
        return answer.code not in NOT_LET_IN | NOT_HERS and not answer.is_our_bug
    if due == UNSEEN:
        return answer.code in unseen_codes(rpc) or (answer.is_ok and rpc.name in LISTS and not shows(rpc, subject, answer))
    if due == SEEN and answer.is_ok:
        return shows(rpc, subject, answer) if rpc.name in LISTS else answer.code not in unseen_codes(rpc)
    if due == SEEN:
        says_no = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND}
        return rpc.name not in LISTS and answer.status not in says_no and not answer.is_our_bug
    return answer.code == due


def unseen_codes(rpc):
    """What an RPC says of something that is not there, or as good as not there."""
    return UNSEEN_CODES.get(rpc.name) or THERE_IS_NONE


def shows(rpc, subject, answer):
    """Whether the list has a row of the subject."""
    rows = [row for one, value in answer.said.ListFields() if one.is_repeated for row in value]
    return any(getattr(getattr(row, "sheet", row), LISTS[rpc.name], "") == subject.says[LISTS[rpc.name]] for row in rows)


def methods(service):
    for method in next(iter(contracts.descriptor(service).services_by_name.values())).methods:
        yield contracts.rpcs(service)[f"/{method.containing_service.full_name}/{method.name}"], method


def questions(walk, rpc, method):
    """All that is asked of an RPC: what about, the rule as it then applies, the subject, the region, the request."""
    if region_of(rpc):
        for region in walk.regions:
            if rpc.region or region.count(".") == 2:  # Where the door leaves it to the servicer, what is no block is refused as such.
                yield region, rpc, walk.own[0], region, request_about(rpc, method, walk.own[0], region)
    for subject in walk.subjects:
        request = request_about(rpc, method, subject, subject.region)
        if request is None or (rpc.name == "PutImage" and not subject.here):  # Of an institution that is nowhere yet she may put one.
            continue
        if not region_of(rpc):
            yield subject.name, rpc, subject, "", request
        if rpc.name in LISTS and (rpc.region or rpc.name == "ListMembers"):  # What she must not see nobody names: here it would show.
            yield f"{subject.name}, unnamed", replace(rpc, region="", institution=""), subject, "", unnamed(request)


def to_her_own_place(walk, rpc, method, stand):
    """As `questions`, of what names a user and besides a region: somebody whom she does not see, or may not change, and her own region."""
    role = stand.caller.role
    if not rpc.region or "user_id" not in method.input_type.fields_by_name or role not in rpc.roles or not stand.caller.region:
        return
    for subject in walk.subjects:
        if not stand.sees(subject) or SAID["role"] not in CREATES[role]:
            request = request_about(rpc, method, subject, at_level(subject.region, 3))
            request.assignment.role = role.replace("ADMIN", "THEMATIC_USER")  # Which she may give there.
            request.assignment.region = stand.caller.region
            yield f"{subject.name}, to her own place", replace(rpc, region=""), subject, "", request


@pytest.mark.parametrize("service", contracts.CONTRACTS)
def test_every_role_may_do_what_the_protos_say_to_what_is_hers_and_nothing_else(walk, service):
    instance, channel = walk.at(service)
    stands = walk.stands(instance)
    failures = []
    for rpc, method in methods(service):
        if rpc.anyone:
            continue
        asked = list(questions(walk, rpc, method))
        assert asked, rpc.name
        is_done = False
        for stand in stands:
            answers_unseen = set()
            for name, rule, subject, region, request in (*asked, *to_her_own_place(walk, rpc, method, stand)):
                due = expected(rule, stand, subject, request, region)
                answer = walk.ask(channel, method, request, stand.token)
                if not is_as_due(rule, subject, answer, due):
                    failures.append(f"{rpc.name} as {stand.name} about {name}: {due}, but {answer.status.name} {answer.code}")
                is_done |= due in {MAY, SEEN} and answer.is_ok and not answer.code
                if due == UNSEEN and rpc.name not in UNSEEN_CODES and not answer.is_ok:
                    answers_unseen.add((answer.code, answer.words))
            if len(answers_unseen) > 1:
                failures.append(f"{rpc.name} as {stand.name} tells what there is from what there is not: {answers_unseen}")
        if is_done == (rpc.name in NOT_DONE):
            failures.append(f"{rpc.name} is done {'all the same: it is to be done' if is_done else 'for nobody'}")
    assert not failures, "\n".join([f"{len(failures)} answers are wrong", *failures[:40]])


@pytest.mark.parametrize("service", contracts.CONTRACTS)
def test_no_call_but_the_open_ones_is_answered_without_a_token_of_this_instance(walk, service):
    instance, channel = walk.at(service)
    anybody = Caller("ISOME", Role.STATE_ADMIN, "9")
    bad = {
        "TOKEN_MISSING": "",
        "TOKEN_EXPIRED": sign(instance, anybody, timedelta(seconds=-1)),
        "TOKEN_FOREIGN": walk.foreign[instance.code],
        "TOKEN_INVALID": sign(instance, anybody)[:-4] + "AAAA",
    }
    failures = []
    for rpc, method in methods(service):
        if rpc.anyone:
            answer = walk.ask(channel, method, GetMessageClass(method.input_type)(), "")
            if answer.is_our_bug or answer.code == "TOKEN_MISSING":
                failures.append(f"{rpc.name} before login: {answer.status.name} {answer.code}")
            continue
        request = request_about(rpc, method, walk.own[0], walk.block)
        for due, token in bad.items():
            answer = walk.ask(channel, method, request, token)
            if (answer.status, answer.code) != (grpc.StatusCode.UNAUTHENTICATED, due):
                failures.append(f"{rpc.name}: {due}, but {answer.status.name} {answer.code}")
    assert not failures, "\n".join(failures)


def end_session(session):
    """Tell everybody that a session has ended, as identity does."""
    database.is_back("identity")  # Tests before may have killed the server: what is left of connections to it goes.
    until = datetime.now(UTC) + tokens.ACCESS_LIFE
    told = identity_pb2.SessionEnded(session_id=str(session.session_id), generation=session.generation)
    told.until.FromDatetime(until)
    with database.transaction("identity") as connection:
        ended.keep(connection, session.session_id, session.generation, until)
        mailbox.tell(connection, told, subject=session.session_id, version=session.generation)


@pytest.mark.parametrize("service", [service for service in contracts.CONTRACTS if service != "gateway"])
def test_a_token_of_an_ended_session_opens_nothing(walk, service):
    instance, channel = walk.at(service)
    session, own = Session(uuid7(), 1), walk.own[0]
    caller = Caller(own.says["user_id"], Role.BLOCK_PROGRAM_MANAGER, walk.block, session=session)
    ended, renewed = (sign(instance, replace(caller, session=replace(session, generation=generation))) for generation in (1, 2))
    end_session(session)
    closed = [(rpc, method) for rpc, method in methods(service) if rpc.roles or rpc.any_role]

    def codes(token):
        return [walk.ask(channel, method, request_about(rpc, method, own, walk.block), token).code for rpc, method in closed]

    # The door's own word: that a session is over, the RPCs for whoever is logged in say too.
    books.wait_until("the session's end is heard", lambda: set(codes(ended)) == {"TOKEN_STALE"})
    assert not set(codes(renewed)) & {"TOKEN_STALE", *NOT_LET_IN - {"ROLE_NOT_ALLOWED"}}


# --- What one request cannot show.


def test_nobody_maps_a_bookkeeper_to_an_institution_elsewhere(walk):
    admin = at_work(walk.instance, Role.BLOCK_ADMIN, walk.block)
    own, others = walk.own[0], [one for one in walk.subjects if not contains(walk.block, one.region)]
    assert len(others) == 3
    keeper = {"user_id": f"{own.says['user_id']}K"}
    she = keeper | {"full_name": "Walked Past", "mobile": own.says["mobile"]}

    def mapped(*institution_ids):
        return identity_pb2.Assignment(role=Role.SHG_BOOKKEEPER, region=walk.block, institution_ids=institution_ids)

    made = admin(admin.identity.CreateUser, identity_pb2.CreateUserRequest(assignment=mapped(own.institution_id), **she))
    assert made.assignments[0].institution_ids == [own.institution_id]
    for other in others:
        for call, request in (
            (admin.identity.LinkInstitutions, identity_pb2.LinkInstitutionsRequest(role=Role.SHG_BOOKKEEPER, link=[other.institution_id], **keeper)),
            (admin.identity.AssignRole, identity_pb2.AssignRoleRequest(assignment=mapped(own.institution_id, other.institution_id), **keeper)),
            (
                admin.identity.CreateUser,
                identity_pb2.CreateUserRequest(assignment=mapped(other.institution_id), **she | {"user_id": f"{made.user_id}L"}),
            ),
        ):
            refusal = books.refusal_of(lambda call=call, request=request: admin(call, request))
            assert refusal.code == "INSTITUTION_UNKNOWN", (other.name, request)
    assert admin(admin.identity.GetUser, identity_pb2.GetUserRequest(**keeper)) == made
    linked = identity_pb2.LinkInstitutionsRequest(role=Role.SHG_BOOKKEEPER, link=[own.institution_id], **keeper)
    assert admin(admin.identity.LinkInstitutions, linked) == made


def test_a_sheets_row_that_names_a_place_elsewhere_is_refused_alone(walk):
    admin = at_work(walk.instance, Role.BLOCK_ADMIN, walk.block)
    own, sibling = walk.own[0], next(one for one in walk.subjects if contains(walk.sibling, one.region))
    rows = [keeper_row(own), keeper_row(sibling)]
    request = identity_pb2.UploadBookkeepersRequest(workbook=workbook(COLUMNS, rows), dry_run=True, upload_id=str(uuid7()))
    answer = admin(admin.identity.UploadBookkeepers, request)
    assert [(row.id, row.refusal.code) for row in answer.rows] == [(rows[0][0], ""), ("", "REGION_UNKNOWN")]
    # Nobody else sees how far it is, who is as much an admin of that block.
    asked = identity_pb2.UploadProgressRequest(upload_id=request.upload_id)
    assert admin(admin.identity.UploadProgress, asked).rows_done == 2
    second = Signed(walk.instance, Caller("IUP_WALKSECOND", Role.BLOCK_ADMIN, walk.block))
    assert books.refusal_of(lambda: second(second.identity.UploadProgress, asked)).code == "UPLOAD_UNKNOWN"


def test_nobody_takes_a_cluster_of_another_block(walk):
    above = at_work(walk.instance, Role.STATE_ADMIN, at_level(walk.block, 1))
    admin = at_work(walk.instance, Role.BLOCK_ADMIN, walk.block)

    def listed():
        return [above(above.identity.ListClusters, identity_pb2.ListClustersRequest(block=block)) for block in (walk.block, walk.sibling)]

    before = listed()
    theirs = next(one for one in walk.subjects if contains(walk.sibling, one.region)).says["Cluster"]
    assert theirs in before[1].clusters
    for block, code in ((walk.block, "CLUSTER_ELSEWHERE"), (walk.sibling, "REGION_NOT_YOURS")):
        wanted = identity_pb2.Cluster(cluster_id=theirs.cluster_id, block=block, name="Walked off", gps=[walk.gp] if block == walk.block else [])
        request = identity_pb2.SaveClusterRequest(cluster=wanted)
        assert books.refusal_of(lambda request=request: admin(admin.identity.SaveCluster, request)).code == code
    assert listed() == before


def test_what_is_done_but_once_is_done_by_whoever_may(walk):
    """Last, since no subject is afterwards what it was."""
    one, other, third = walk.subjects[3:6]
    assert one.name == "another's SHG"
    manager = at_work(walk.instance, Role.BLOCK_PROGRAM_MANAGER, at_level(one.region, 3))
    member = {"member_id": one.says["member_id"], "revision": one.says["Member"].revision}
    request = profiles_pb2.RejectMemberRequest(reasons=SAID["reasons"], remark=SAID["remark"], **member)
    assert manager(manager.profiles.RejectMember, request).status == profiles_pb2.STATUS_REJECTED

    keeper = at_work(walk.instance, Role.SHG_BOOKKEEPER, one.region, one.institution_id)
    plain = Makers(walk.instance, one.name).woman(one.institution_id)
    plain.name, plain.relation_name = strange_name(), strange_name()
    plain.ClearField("accounts")
    waits = books.screened(manager, books.submit(keeper, plain).member_id, 1)
    key = profiles_pb2.TaskKey(kind=profiles_pb2.TASK_KIND_MEMBER, record_id=waits.member_id, revision=waits.revision)
    assert manager(manager.profiles.ApproveMany, profiles_pb2.ApproveManyRequest(tasks=[key])).approved == 1
    closed = profiles_pb2.LifeEvent(record_id=one.institution_id, revision=2, act="ACT_CLOSE", on=today().isoformat(), reason="DEFUNCT")
    closing = keeper(keeper.profiles.SubmitInstitutionEvent, profiles_pb2.SubmitInstitutionEventRequest(event=closed))
    assert closing.waiting_event.status == profiles_pb2.STATUS_SUBMITTED

    vo_id = one.line[1]
    keeper = at_work(walk.instance, Role.VO_BOOKKEEPER, at_level(one.region, 4), vo_id)
    vo = keeper(keeper.profiles.GetInstitution, profiles_pb2.GetInstitutionRequest(institution_id=vo_id))
    active = manager(manager.profiles.ListMembers, profiles_pb2.ListMembersRequest(institution_id=one.institution_id)).members
    vo = books.submit_institution(keeper, vo, {member.member_id: one.institution_id for member in active if member.code})
    request = profiles_pb2.RejectInstitutionRequest(institution_id=vo_id, revision=vo.revision, reasons=SAID["reasons"], remark=SAID["remark"])
    assert manager(manager.profiles.RejectInstitution, request).status == profiles_pb2.STATUS_REJECTED

    approver = at_work(walk.instance, Role.SHG_TRANS_APPROVER, at_level(one.region, 4), vo_id)
    assert books.approve_meeting(approver, one.says["meeting_id"]).status == transactions_pb2.MEETING_STATUS_APPROVED
    approver = at_work(walk.instance, Role.SHG_TRANS_APPROVER, at_level(third.region, 4), third.line[1])
    wanted = transactions_pb2.ApproveMeetingRequest(meeting_id=third.says["meeting_id"], revision=1)
    [answer] = approver(approver.transactions.ApproveMeetings, transactions_pb2.ApproveMeetingsRequest(meetings=[wanted])).answers
    assert (answer.meeting_id, answer.refusal.code) == (wanted.meeting_id, "")
    approver = at_work(walk.instance, Role.SHG_TRANS_APPROVER, at_level(other.region, 4), other.line[1])
    request = transactions_pb2.RejectMeetingRequest(meeting_id=other.says["meeting_id"], revision=1, remark=SAID["remark"])
    assert approver(approver.transactions.RejectMeeting, request).status == transactions_pb2.MEETING_STATUS_REJECTED
