"""Stores institutions, members and the findings about them. Holds names, phones and accounts; never an Aadhaar number."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

# A code's serial, by what it is for (kernel.codes.LETTERS). A number that a rolled back approval took is never issued.
serials = {kind: Sequence(f"{kind.lower()}_serial", metadata=metadata) for kind in ("MEMBER", "SHG", "VO", "CLF")}

# The content of a profile is one mapping by the contract's names (rules/form.py), as it is hashed, compared and shown.
# It is null until a checker lets the record in; what waits for her, also of a live record, is in `submissions`.
institutions = Table(
    "institutions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),  # Counts every change that is told.
    Column("revision", Integer, nullable=False),  # Of what is live; 0 before.
    Column("status", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("parent_id", ForeignKey("institutions.id")),
    Column("content", JSONB),
    Column("code", Text, unique=True),
    Column("source", Text, nullable=False),  # FORM, SHEET, UPLOAD, LEGACY
    Column("listed_as", Uuid, unique=True),  # The row of a list that made it: kind, name and region as they stood there.
    Column("entered_on", Date, nullable=False),
    Column("activated_on", Date),
    Column("inactive_on", Date),
    Column("inactive_reason", Text, nullable=False, server_default=""),
    # What the duplicate check last said of what is live.
    Column("verdict", Text),
    Column("screening_version", BigInteger, nullable=False, server_default="0"),
    # The sheets name institutions by name within a place, so a place has one of each name.
    Index("institutions_named", "region", "kind", "name_key", unique=True),
    Index("institutions_parent", "parent_id"),  # What an approver sees lies below her federations.
)

DEFAULT_PHONE = '$."phones"[*]?(@."is_default" == "YES" && !(exists (@."ended_on")))."number"'
MOBILE = f"(jsonb_path_query_first(content, '{DEFAULT_PHONE}'::jsonpath) #>> '{{}}'::text[])"


def evidence_columns() -> tuple[Column[Any], ...]:
    """What was verified of a member: by online e-KYC, and by a signed paper. Each rests on a consent of its own, and goes with it."""
    return (
        # By online e-KYC. Not unique: a second one is stored and flagged (decision 3).
        Column("identity_token", Text),
        # What it says, kept so that each revision is compared with it; `attested` is the rest of rules.evidence.Evidence.
        Column("attested_birth_year", Integer, nullable=False, server_default="0"),
        Column("attested_gender", Text, nullable=False, server_default=""),
        Column("attested", JSONB(none_as_null=True)),
        Column("evidence_consent_id", Uuid),  # By which of her consents it was taken.
        Column("paper", JSONB(none_as_null=True)),  # By a signed paper: all of an Evidence.
        Column("identity_notes", ARRAY(Text), nullable=False, server_default="{}"),  # Where they differ from what is said of her.
    )


members = Table(
    "members",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),  # Counts every change that is told.
    Column("revision", Integer, nullable=False),  # Of what is live; 0 before.
    Column("status", Text, nullable=False),
    Column("institution_id", ForeignKey("institutions.id"), nullable=False),
    Column("region", Text, nullable=False),  # Her institution's.
    Column("content", JSONB),
    Column("code", Text, unique=True),
    *evidence_columns(),
    # What the duplicate check last said of what is live.
    Column("verdict", Text),
    Column("screening_version", BigInteger, nullable=False, server_default="0"),
    Column("submitted_version", BigInteger, nullable=False, server_default="0"),  # The version at which the duplicate check was last told of her.
    Column("source", Text, nullable=False),  # FORM, SHEET, UPLOAD, LEGACY
    Column("listed_as", Uuid, unique=True),  # The row of a list that made her: SHG, name, relation and birth as they stood there.
    Column("entered_on", Date, nullable=False),
    Column("activated_on", Date),
    Column("inactive_on", Date),
    Column("inactive_reason", Text, nullable=False, server_default=""),
    # The day and the institution of her newest settlement that the books told of. No part of what others are told of her: no version counts it.
    Column("settled_on", Date),
    Column("settled_with", Uuid),
    # Where messages to her go (rules.member.default_phone), by the database from what is live, so that no change of it is forgotten.
    Column("mobile", Text, Computed(MOBILE, persisted=True)),
    # The record of the same woman that stays, where this one was handed back or ended for that.
    Column("merged_into", Uuid),
)
Index("members_merged", members.c.merged_into, postgresql_where=members.c.merged_into.is_not(None))
Index("members_institution", members.c.institution_id)
Index("members_region", members.c.region)
# Whose phones are alike in a block is read from this alone.
Index(
    "members_mobile",
    *(members.c[name] for name in ("region", "mobile", "institution_id", "id")),
    postgresql_where=text("mobile IS NOT NULL AND status IN ('ACTIVE', 'LEGACY')"),
)

# What a maker handed in, or a list brought, and no checker has let in yet: at most one a record, whatever act it is of.
# What is SUBMITTED is My Task.
submissions = Table(
    "submissions",
    metadata,
    Column("record_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),  # MEMBER, SHG, VO, CLF
    Column("act", Text, nullable=False),
    Column("revision", Integer, nullable=False),  # Counts what the maker submitted; 0 is a row of a list.
    Column("status", Text, nullable=False),
    Column("institution_id", Uuid, nullable=False),  # Itself, or her SHG.
    Column("region", Text, nullable=False),
    Column("block", Text, nullable=False),
    Column("gp", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("previous", JSONB),  # What the checker saw before: what is live, or what she handed back.
    Column("reviews", JSONB, nullable=False, server_default="{}"),  # What she said of it, by section.
    Column("returns", Integer, nullable=False, server_default="0"),  # How often she has handed it back.
    Column("reasons", ARRAY(Text), nullable=False, server_default="{}"),
    Column("remark", Text, nullable=False, server_default=""),
    Column("maker_user", Text, nullable=False),
    Column("maker_person", Text, nullable=False),
    # Who let a woman go to another block; since then what waits of her stands there.
    Column("released_by", Text, nullable=False, server_default=""),
    Column("released_person", Text, nullable=False, server_default=""),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
    Column("open_questions", Boolean, nullable=False),  # It is for the checker to look at, and not among many.
    # Of a member: as in her record, of this revision; the verdict of an institution too.
    *evidence_columns(),
    Column("verdict", Text),
    Column("screening_version", BigInteger, nullable=False, server_default="0"),
    Column("for_supervisor", Boolean, nullable=False, server_default="false"),  # A finding of the supervisor's tier is not decided yet.
)
# A page of My Task begins in one of these, whatever it is filtered by, and reads no more than its own rows.
for _name in ("block", "gp", "region", "maker_user", "institution_id"):
    Index(
        f"submissions_{_name}",
        submissions.c[_name],
        submissions.c.kind,
        submissions.c.open_questions,
        submissions.c.submitted_at,
        submissions.c.record_id,
        postgresql_where=submissions.c.status == "SUBMITTED",
    )
# Of what waits for a supervisor there is little: one index is enough, by the only place that she looks at many of.
Index(
    "submissions_supervisor",
    *(submissions.c[name] for name in ("block", "submitted_at", "record_id")),
    postgresql_where=text("status = 'SUBMITTED' AND for_supervisor"),
)

# What members withdrew, by purpose: whether their last word was that, and every consent that ever ended so. What comes late is measured by it.
withdrawals = Table(
    "withdrawals",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),  # Of the last word on it.
    Column("stands", Boolean, nullable=False),
    Column("withdrawn_at", DateTime(timezone=True)),
    Column("consent_ids", ARRAY(Uuid), nullable=False, server_default="{}"),
)

# Every approval: what was live before an edit (nothing, before the first), and what an act of life said.
history = Table(
    "history",
    metadata,
    Column("record_id", Uuid, primary_key=True),
    Column("revision", Integer, primary_key=True),  # Of the submission that was approved.
    Column("act", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("maker_user", Text, nullable=False),
    Column("released_by", Text, nullable=False, server_default=""),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# Where a member was before: where she is, her record says.
memberships = Table(
    "memberships",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("to_on", Date, primary_key=True),
    Column("institution_id", Uuid, nullable=False),
    Column("from_on", Date, nullable=False),
    Column("reason", Text, nullable=False),
    Column("back_on", Date),  # Since when she is there again.
    Index("memberships_institution", "institution_id"),
)

# Which federation an institution belongs and belonged to (R-SHG-7).
mappings = Table(
    "mappings",
    metadata,
    Column("child_id", Uuid, primary_key=True),
    Column("from_on", Date, primary_key=True),
    Column("parent_id", Uuid, nullable=False),
    Column("to_on", Date),
    Index("mappings_one", "child_id", unique=True, postgresql_where=text("to_on is null")),
)

# A finding is of one revision; those of earlier ones stay with what was decided about them, and are shown no more.
findings = Table(
    "findings",
    metadata,
    Column("member_id", ForeignKey("members.id"), primary_key=True),
    Column("member_revision", Integer, primary_key=True),
    Column("finding_id", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("other_member_id", Uuid, nullable=False),
    Column("clues", ARRAY(Text), nullable=False),
    Column("weight_centibits", Integer, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("decision", Text),
    Column("reason", Text, nullable=False, server_default=""),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
    Column("decided_role", Text),
    Column("override", Text, nullable=False, server_default="OFFICER"),  # Who may say that she is another woman: rules.review.Override.
    # Beside the words of `clues`, one by one; empty of what was found before they were kept.
    Column("clue_codes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("clue_weights", ARRAY(Integer), nullable=False, server_default="{}"),
    Column("gone", Boolean, nullable=False, server_default="false"),  # Decided, and not found any more by a later screening.
)
Index("findings_other", findings.c.other_member_id)

# Every decision on a finding as it was made; the finding itself holds the last one.
finding_decisions = Table(
    "finding_decisions",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("member_revision", Integer, primary_key=True),
    Column("finding_id", Text, primary_key=True),
    Column("decided_at", DateTime(timezone=True), primary_key=True, server_default=func.clock_timestamp()),
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("decided_by", Text, nullable=False),
    Column("decided_role", Text, nullable=False, server_default=""),
)

# The same of institutions.
institution_findings = Table(
    "institution_findings",
    metadata,
    Column("institution_id", ForeignKey("institutions.id"), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("finding_id", Text, primary_key=True),
    Column("verdict", Text, nullable=False),
    Column("other_institution_id", Uuid, nullable=False),
    Column("clues", ARRAY(Text), nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("decision", Text),
    Column("reason", Text, nullable=False, server_default=""),
    Column("decided_by", Text),
    Column("decided_at", DateTime(timezone=True)),
)

# Masters: what forms offer to choose from. No value is ever deleted, for records keep it.

list_values = Table(
    "list_values",
    metadata,
    Column("list", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("national_code", Text, nullable=False),
    Column("labels", JSONB, nullable=False),  # By language; English always among them.
    Column("order", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("valid_from", Date),
    Column("valid_to", Date),
    Column("version", BigInteger, nullable=False),  # Of all lists, when this value last changed.
    Index("list_values_changed", "version", "list", "code"),
)

# One row, locked by whoever edits until she commits: versions come into sight in their order, and `version > since` misses none.
lists_version = Table(
    "lists_version",
    metadata,
    Column("one", Boolean, CheckConstraint("one"), primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("stamp", Uuid, nullable=False),  # Another at every change: a version may come twice, where a transaction or a backup rolls back.
)

# Bank accounts and images.

# What the bank said of an account as a record handed it in: an account that has not changed is not asked for again.
account_checks = Table(
    "account_checks",
    metadata,
    Column("check_id", Uuid, primary_key=True),
    Column("record_id", Uuid, nullable=False),  # A member or an institution.
    Column("row_id", Text, nullable=False),
    Column("ifsc", Text, nullable=False),
    Column("account_number", Text, nullable=False),
    Column("holder_name", Text, nullable=False),
    Column("handed_in_at", DateTime(timezone=True), nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),  # In the bank's words, or why there is no answer.
    Column("name_at_bank", Text, nullable=False, server_default=""),
    Column("name_match", Integer, nullable=False, server_default="0"),
    Column("checked_at", DateTime(timezone=True)),
    Column("reference", Uuid, nullable=False),  # Ours: what is asked again by the same one is paid for once.
    Column("bank_reference", Text, nullable=False, server_default=""),  # By which an answer to come is asked for.
    Column("attempts", Integer, nullable=False),  # Each is a job of its own.
    Column("tries", Integer, nullable=False),  # Of them, since somebody asked.
    Column("next_at", DateTime(timezone=True)),  # When to ask again, if nothing was noted until then; empty: not by itself.
    Column("asked_on", Date),  # When somebody last had it asked for again, and how often that day.
    Column("asked_times", Integer, nullable=False, server_default="0"),
    Index("account_checks_of", "record_id", "row_id", "ifsc", "account_number", unique=True),
)
Index("account_checks_next", account_checks.c.next_at, postgresql_where=account_checks.c.next_at.is_not(None))
Index(
    "account_checks_unanswered",
    account_checks.c.check_id,
    postgresql_where=text("outcome = 'UNKNOWN' AND next_at IS NULL"),
)

# Images that were put; their bytes lie in the store of objects, under the id. The same bytes for the same institution are one image.
images = Table(
    "images",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("institution_id", Uuid, nullable=False),  # For which it was put; there need not be such a one yet.
    Column("region", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("put_at", DateTime(timezone=True), nullable=False),
    Column("stored_at", DateTime(timezone=True)),  # Empty until the store has it.
    Column("key_id", Text, nullable=False, server_default=""),
    Column("loose_since", DateTime(timezone=True)),  # Since when no record names it; empty while one does.
    Column("erasing_at", DateTime(timezone=True)),
)
Index("images_content", images.c.institution_id, images.c.sha256, unique=True, postgresql_where=images.c.erasing_at.is_(None))
Index("images_loose", images.c.put_by, images.c.loose_since, postgresql_where=images.c.loose_since.is_not(None))
Index("images_due", images.c.loose_since, postgresql_where=images.c.loose_since.is_not(None) & images.c.erasing_at.is_(None))
Index("images_erasing", images.c.erasing_at, postgresql_where=images.c.erasing_at.is_not(None))

# Which records name an image, in what is live or in what waits.
image_uses = Table(
    "image_uses",
    metadata,
    Column("image_id", ForeignKey("images.id"), primary_key=True),
    Column("record_id", Uuid, primary_key=True),
    Index("image_uses_record", "record_id"),
)

# Uploads: what devices send in one go, to be carried out item by item.

# Her rights are those that she had when she sent it.
uploads = Table(
    "uploads",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("content_hash", LargeBinary, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("institutions", ARRAY(Uuid), nullable=False),
    Column("person", Text, nullable=False),
    Column("put_at", DateTime(timezone=True), nullable=False, index=True),
    Column("done_at", DateTime(timezone=True)),
)
Index("uploads_waiting", uploads.c.user_id, postgresql_where=uploads.c.done_at.is_(None))

upload_items = Table(
    "upload_items",
    metadata,
    Column("upload_id", ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True),  # Among the items as they were sent.
    Column("turn", Integer, nullable=False),  # Among them as they are carried out.
    Column("kind", Text, nullable=False),  # rules/batch.py
    Column("record_id", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    # What she said, and what the attestation proved when it came. Empty once the item is answered: then the record has it, or nobody.
    Column("said", JSONB(none_as_null=True)),
    Column("evidence", JSONB(none_as_null=True)),
    Column("status", Text),  # Of the record, once it was taken in.
    Column("refusal", JSONB(none_as_null=True)),
)

# The old MIS.

# Which row of which file said last what a record from the old MIS is.
provenance = Table(
    "provenance",
    metadata,
    Column("record_id", Uuid, primary_key=True),
    Column("file_name", Text, nullable=False),
    Column("file_sha256", LargeBinary, nullable=False),
    Column("row", Integer, nullable=False),  # Counted as a spreadsheet does: the header is row 1.
    Column("row_hash", LargeBinary, nullable=False),
    Column("imported_by", Text, nullable=False),
    Column("imported_at", DateTime(timezone=True), nullable=False),
)

# From which day on a block enters here, and no more on the old MIS. One without a day never had another system.
cutovers = Table(
    "cutovers",
    metadata,
    Column("block", Text, primary_key=True),
    Column("on", Date, nullable=False),
)
