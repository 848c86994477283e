"""Stores what is compared of each record, what was found, and what officers decided about it. No names: keys of names."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from services.dedup import rules

metadata = MetaData()

# What is compared of each member; what a rules.Person holds. What is not known is '' or null. While a change of who is live waits, she has
# a row of each, and is found by both.
people = Table(
    "people",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("waiting", Boolean, primary_key=True, server_default=false()),
    Column("version", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("institution_id", Uuid, nullable=False),
    Column("region", Text, nullable=False),
    Column("block", Integer),
    Column("village", Integer),
    Column("name_fold", Text, nullable=False),
    Column("name_skeleton", Text, nullable=False),
    Column("name_first", Text, nullable=False),
    Column("name_title", Text, nullable=False, server_default=""),
    Column("relation_fold", Text, nullable=False),
    Column("relation_skeleton", Text, nullable=False),
    Column("relation_first", Text, nullable=False),
    Column("born_on", Date),
    Column("birth_year", SmallInteger),
    Column("mobile", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("identity_token", Text, nullable=False),
    Column("documents", ARRAY(Text), nullable=False, server_default="{}"),
    # A rules.Status; follows from `statuses` and the revision, and stands here so that candidates need no join.
    Column("status", Text, nullable=False),
)
# Plain composite B-trees, one an arm: at 1.4 crore rows the fastest to look up and to keep of all that was measured.
for _arm in rules.ARMS:
    _by = "gin" if _arm.any_of else "btree"
    Index(f"people_{_arm.name}", *(people.c[column] for column in _arm.keys), postgresql_where=text(_arm.known), postgresql_using=_by)

# What records are weighed by: the newest; the one that ships where there is none.
models = Table(
    "models",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("content", LargeBinary, nullable=False),  # As rules.model.dump writes it.
    Column("held_from", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# The newest decision heard of each member. It may come before the submission that it is about.
statuses = Table(
    "statuses",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("status", Text, nullable=False),
)

# The last screening told of each member; `version` counts what was told.
screenings = Table(
    "screenings",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("region", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("screened_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Whether any of its matches is a supervisor's to decide, and whether any belongs on the fraud list.
    Column("supervisor", Boolean, nullable=False, server_default=false()),
    Column("fraud", Boolean, nullable=False, server_default=false()),
)
# A list each, an index each: what is rare costs the rest nothing.
Index("screenings_flagged", screenings.c.region, screenings.c.member_id, postgresql_where=screenings.c.verdict != "CLEAR")
Index("screenings_confirmed", screenings.c.region, screenings.c.member_id, postgresql_where=screenings.c.verdict == "CONFIRMED")
Index("screenings_supervisor", screenings.c.region, screenings.c.member_id, postgresql_where=screenings.c.supervisor)
Index("screenings_fraud", screenings.c.region, screenings.c.member_id, postgresql_where=screenings.c.fraud)

# Every match ever told, so that a label finds what it is about; those of the screening's own version are current.
matches = Table(
    "matches",
    metadata,
    Column("finding_id", Uuid, primary_key=True),
    Column("member_id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("other_id", Uuid, nullable=False),
    Column("other_revision", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("override", Text, nullable=False),
    Column("weight_centibits", Integer, nullable=False),
    Column("clues", JSONB, nullable=False),  # [code, words, centibits] each: what the officer read.
)
Index("matches_member", matches.c.member_id, matches.c.version)
Index("matches_other", matches.c.other_id)

# What officers decided, the newest word on each finding, to learn from, with what they decided on as it was then: a screening under other
# rules may weigh the same pair anew. Their reasons stay with profiles: they may hold names.
labels = Table(
    "labels",
    metadata,
    Column("finding_id", Uuid, primary_key=True),
    Column("member_id", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("decision", Text, nullable=False),
    Column("heard_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("decided_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("region", Text, nullable=False, server_default=""),
    # Of the finding; null where it is not known here, as after a backup.
    Column("other_id", Uuid),
    Column("verdict", Text),
    Column("override", Text),
    Column("weight_centibits", Integer),
    Column("codes", ARRAY(Text)),
)
Index("labels_decided", labels.c.region, labels.c.decided_at)

# Active members of whom another record turned out to be the same woman: nothing is undone by machine (decision 4).
contested = Table(
    "contested",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("other_id", Uuid, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("settled_at", DateTime(timezone=True)),  # The other record was rejected or is another woman by now.
    # Where she lies, and why it is the same woman: [code, words, centibits] each, since an active member's screening stays as it was told.
    Column("region", Text, nullable=False, server_default=""),
    Column("clues", JSONB, nullable=False, server_default="[]"),
    # Of what was last told of the member; the highest of her rows counts.
    Column("version", BigInteger, nullable=False, server_default="0"),
)
Index("contested_open", contested.c.region, contested.c.member_id, contested.c.other_id, postgresql_where=contested.c.settled_at.is_(None))
Index("contested_other", contested.c.other_id, postgresql_where=contested.c.settled_at.is_(None))

# --- Institutions.

# The newest word heard of each SHG, VO and CLF that was ever handed in; what a rules.institution.Group holds.
institutions = Table(
    "institutions",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("name_fold", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("formed_on", Date),
    Column("accounts", ARRAY(Text), nullable=False),
    Column("status", Text, nullable=False),
    Index("institutions_named", "place", "name_key", "kind", "formed_on"),
    Index("institutions_accounts", "accounts", postgresql_using="gin"),
)
# Who is in a group, to be counted with those of another.
Index("people_institution", people.c.institution_id)

# The last screening told of each institution; `version` counts what was told.
institution_screenings = Table(
    "institution_screenings",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("screened_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# What that screening found. What an earlier one did, and what was decided about it, stays with profiles.
institution_matches = Table(
    "institution_matches",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("other_id", Uuid, primary_key=True),
    Column("finding_id", Uuid, nullable=False),
    Column("other_revision", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("clues", JSONB, nullable=False),
    Index("institution_matches_other", "other_id"),
)

# Runs of a whole state compared with itself.
batches = Table(
    "batches",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),  # A rules.batch.State.
    Column("phase", Text, nullable=False),  # What it does now; phases_done are behind it, and of this one so many of so many.
    Column("phases_done", Integer, nullable=False, server_default="0"),
    Column("phase_done", Integer, nullable=False, server_default="0"),
    Column("phase_of", Integer, nullable=False, server_default="0"),
    Column("starts", Integer, nullable=False, server_default="0"),
    Column("asked_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("taken_at", DateTime(timezone=True)),  # As of when the members were read.
    Column("ended_at", DateTime(timezone=True)),
    Column("members", BigInteger, nullable=False, server_default="0"),
    Column("pairs", BigInteger, nullable=False, server_default="0"),
    Column("clusters", BigInteger, nullable=False, server_default="0"),
    Column("screened_again", BigInteger, nullable=False, server_default="0"),
    Column("model", Text, nullable=False, server_default=""),
    Column("error", Text, nullable=False, server_default=""),
)
Index("batches_running", batches.c.state, unique=True, postgresql_where=batches.c.state == "RUNNING")

# What the last batch found, and none before it, the lesser id first: nominations, as the records were when they were read.
batch_pairs = Table(
    "batch_pairs",
    metadata,
    Column("batch_id", Uuid, nullable=False),
    Column("one_id", Uuid, primary_key=True),
    Column("other_id", Uuid, primary_key=True),
    Column("one_revision", Integer, nullable=False),
    Column("other_revision", Integer, nullable=False),
    Column("one_region", Text, nullable=False),
    Column("other_region", Text, nullable=False),
    Column("weight_centibits", Integer, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("override", Text, nullable=False),
    Column("cluster_id", Uuid),  # The least id of all who hang together; null where the pair joins nobody.
)
Index("batch_pairs_one_region", batch_pairs.c.one_region)
Index("batch_pairs_other_region", batch_pairs.c.other_region)
