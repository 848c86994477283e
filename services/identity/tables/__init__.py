"""Stores users, their devices and sessions, invitations redeemed, consents, e-KYCs, alerts to send, and identity's copy of the institutions."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
)

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("user_id", Text, primary_key=True),
    Column("full_name", Text, nullable=False),
    Column("mobile", Text, nullable=False),
    Column("email", Text, nullable=False, server_default=""),
    Column("language", Text, nullable=False, server_default=""),
    Column("password_hash", Text, nullable=False),  # Argon2id; empty where she has been given none, and so nobody logs in.
    Column("status", Text, nullable=False),
    Column("made_on", Date, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("users_mobile", "mobile"),
)

# One role of a user, and where she works in it.
user_roles = Table(
    "user_roles",
    metadata,
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("role", Text, primary_key=True),
    Column("region", Text, nullable=False),
    Column("side", Text, nullable=False, server_default=""),
    Column("institution_ids", ARRAY(Uuid), nullable=False, server_default="{}"),
    Column("cluster_ids", ARRAY(Uuid), nullable=False, server_default="{}"),
    Index("user_roles_region", "region"),
)

# Gram Panchayats of a block that Block Program Managers are in charge of. A GP is in one cluster at most: its row is its place.
clusters = Table(
    "clusters",
    metadata,
    Column("cluster_id", Uuid, primary_key=True),
    Column("block", Text, nullable=False),
    Column("name", Text, nullable=False),
    Index("clusters_block", "block"),
)
cluster_gps = Table(
    "cluster_gps",
    metadata,
    Column("gp", Text, primary_key=True),
    Column("cluster_id", Uuid, ForeignKey("clusters.cluster_id"), nullable=False),
    Index("cluster_gps_cluster", "cluster_id"),
)

# Whoever used which device, which is known by a keyed hash of its id. One is bound to a user: another takes its place by an OTP alone.
devices = Table(
    "devices",
    metadata,
    Column("user_id", Text, ForeignKey("users.user_id"), primary_key=True),
    Column("device", LargeBinary, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("bound", Boolean, nullable=False),
    Column("otp_at", DateTime(timezone=True), nullable=False),
    Index("devices_device", "device"),
)
Index("devices_bound", devices.c.user_id, unique=True, postgresql_where=devices.c.bound)

# A user has one session at most that has not ended.
sessions = Table(
    "sessions",
    metadata,
    Column("session_id", Uuid, primary_key=True),
    Column("user_id", Text, ForeignKey("users.user_id"), nullable=False),
    Column("role", Text, nullable=False),
    Column("device", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("spent_hash", LargeBinary),  # Of the secret before, which the same client may send again.
    Column("began_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("ended_why", Text, nullable=False, server_default=""),
)
Index("sessions_open", sessions.c.user_id, unique=True, postgresql_where=sessions.c.ended_at.is_(None))
Index("sessions_device", sessions.c.device, sessions.c.began_at)
Index("sessions_ends", sessions.c.ends_at)

# One-time passwords asked for. The password itself is derived from the instance's key and the id, and stored nowhere.
challenges = Table(
    "challenges",
    metadata,
    Column("challenge_id", Uuid, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("user_id", Text, nullable=False),  # As it was typed: there may be no such user, and the answer does not tell.
    Column("role", Text, nullable=False),
    Column("device", LargeBinary, nullable=False),
    Column("device_kind", Text, nullable=False),
    Column("device_name", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("keep", Boolean, nullable=False),
    Column("language", Text, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("sends", SmallInteger, nullable=False),
    Column("sent_at", DateTime(timezone=True), nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Index("challenges_expires", "expires_at"),
)

# All that is kept of users, in the order in which it can be taken away.
OF_USERS = (sessions, devices, challenges, user_roles, users)

# How often somebody failed of late, by user id, device and address, each as a keyed hash.
attempts = Table(
    "attempts",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Index("attempts_last", "last_at"),
)

# How far an upload is, for the one who waits for it.
uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", Uuid, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("rows_done", Integer, nullable=False),
    Column("begun_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# An invitation makes one user: whoever writes its row first.
redeemed = Table(
    "redeemed",
    metadata,
    Column("invitation_id", Uuid, primary_key=True),
    Column("user_id", Text, nullable=False),
    Column("redeemed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

kycs = Table(
    "kycs",
    metadata,
    Column("kyc_id", Uuid, primary_key=True),
    Column("member_id", Uuid, nullable=False),
    Column("reference", Uuid, nullable=False),  # The vault's; the number itself is nowhere in this schema.
    Column("provider_txn", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("consented_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("consent_id", Uuid),  # Empty of those from before consents were recorded.
    Column("role", Text, nullable=False, server_default=""),  # Of the user, when she asked.
    Column("last4", Text, nullable=False, server_default=""),  # While the vault holds the number.
    Column("number_erased_at", DateTime(timezone=True)),
    Index("kycs_member", "member_id"),
    Index("kycs_reference", "reference"),
)
Index("kycs_expires", kycs.c.expires_at)
# What retention looks through: of whom the vault may hold a number.
Index("kycs_number", kycs.c.member_id, postgresql_where=kycs.c.number_erased_at.is_(None))

# The members of whom something is kept here: where each is, since when she is no more, whether anything of hers may be erased, and how
# far her chain of consents goes. The row is the lock of the chain.
members = Table(
    "members",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("institution_id", Uuid, nullable=False),
    Column("region", Text, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0"),  # Of what profiles told; 0 while that told nothing since her first consent.
    Column("left_at", DateTime(timezone=True)),
    Column("held_at", DateTime(timezone=True)),
    Column("held_reason", Text, nullable=False, server_default=""),
    Column("place", BigInteger, nullable=False, server_default="0"),  # Of the last record of the chain, and its hash;
    Column("head", LargeBinary, nullable=False),
    Column("erased_place", BigInteger, nullable=False, server_default="0"),  # and of the last one that was erased when its time was over.
    Column("erased_hash", LargeBinary, nullable=False),
)
Index("members_left", members.c.left_at, postgresql_where=members.c.left_at.is_not(None))
Index("members_held", members.c.member_id, postgresql_where=members.c.held_at.is_not(None))

# What members said of consents: a chain of records a member, each with the hash of the one before. Nothing is ever changed in it.
consents = Table(
    "consents",
    metadata,
    Column("member_id", Uuid, primary_key=True),
    Column("place", BigInteger, primary_key=True),
    Column("kind", Text, nullable=False),  # GIVEN, WITHDRAWN
    Column("consent_id", Uuid, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("notice_version", Integer, nullable=False),
    Column("language", Text, nullable=False),
    Column("notice_hash", LargeBinary, nullable=False),
    Column("data_items", ARRAY(Text), nullable=False),
    Column("recipients", ARRAY(Text), nullable=False),
    Column("lawful_basis", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("device_id", Text, nullable=False),
    Column("proof", Text, nullable=False),  # A reference: of an image of her thumb, of a one-time password.
    Column("at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True)),  # Of what was given.
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("institution_id", Uuid, nullable=False),
    Column("region", Text, nullable=False),
    Column("prior_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("consents_recorded", "recorded_at"),
)
Index("consents_withdrawn", consents.c.member_id, postgresql_where=consents.c.kind == "WITHDRAWN")
Index("consents_ends", consents.c.expires_at, postgresql_where=consents.c.kind == "GIVEN")
Index("consents_given", consents.c.consent_id, unique=True, postgresql_where=consents.c.kind == "GIVEN")

# That a member was sent a message: neither its text nor where it went.
messages = Table(
    "messages",
    metadata,
    Column("key", Text, primary_key=True),
    Column("member_id", Uuid, nullable=False),
    Column("template", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("messages_member", "member_id"),
    Index("messages_at", "at"),
)

# When each class of retention was last looked through, and what was erased of it, then and ever.
retention_runs = Table(
    "retention_runs",
    metadata,
    Column("kept", Text, primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("erased", BigInteger, nullable=False),
    Column("erased_ever", BigInteger, nullable=False),
)

# By which UIDAI signs papers: a row a proposal. Of those of one certificate and kind the one that was confirmed last is trusted.
certificates = Table(
    "certificates",
    metadata,
    Column("certificate_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),  # SECURE_QR, OFFLINE_EKYC
    Column("fingerprint", Text, nullable=False),  # SHA-256 of it.
    Column("pem", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("valid_from", DateTime(timezone=True), nullable=False),
    Column("valid_until", DateTime(timezone=True), nullable=False),
    Column("trusted_from", DateTime(timezone=True), nullable=False),
    Column("trusted_until", DateTime(timezone=True), nullable=False),
    Column("added_by", Text, nullable=False),
    Column("added_person", Text, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False),
    Column("confirmed_by", Text, nullable=False, server_default=""),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("replaced_at", DateTime(timezone=True)),
    Column("revoked_by", Text, nullable=False, server_default=""),
    Column("revoked_at", DateTime(timezone=True)),
    Column("revoke_reason", Text, nullable=False, server_default=""),
    Index("certificates_fingerprint", "fingerprint"),
)

# That a signed paper verified a member: a row each time, never changed. What it says of her is not kept here, nor is the paper.
evidence = Table(
    "evidence",
    metadata,
    Column("evidence_id", Uuid, primary_key=True),
    Column("member_id", Uuid, nullable=False),
    Column("mode", Text, nullable=False),
    Column("reference_key", LargeBinary, nullable=False),  # A keyed hash of the paper's reference id, so that it is known again.
    Column("referenced_at", DateTime(timezone=True), nullable=False),
    Column("verified_at", DateTime(timezone=True), nullable=False),
    Column("user_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("consent_id", Uuid, nullable=False),
    Column("certificate", Text, nullable=False),  # The fingerprint of what it is signed by.
    Index("evidence_member", "member_id"),
    Index("evidence_reference", "reference_key"),
    Index("evidence_verified", "verified_at"),
)

# What members are to be told, until it is sent or too old: then the row goes, and the number with it.
alerts = Table(
    "alerts",
    metadata,
    Column("loan_id", Uuid, primary_key=True),
    Column("mobile", Text, nullable=False),
    Column("principal_paise", BigInteger, nullable=False),
    Column("given_on", Date, nullable=False),
    Column("institution_code", Text, nullable=False),
    Column("approved_at", DateTime(timezone=True), nullable=False),
    Column("member_id", Uuid),
    Index("alerts_approved", "approved_at"),
    Index("alerts_member", "member_id"),
)

# As profiles tells them: to map users by an institution's name.
institutions = Table(
    "institutions",
    metadata,
    Column("institution_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("parent_id", Uuid),
    Column("status", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("institutions_region", "region"),
)
