"""Clusters: made, renamed, and their Gram Panchayats put in and taken out."""

from sqlalchemy import Connection, delete, insert, text
from sqlalchemy.dialects import postgresql

from services.chassis import audit
from services.chassis.sight import among
from services.identity import queries
from services.identity.commands import session
from services.identity.rules import cluster as rules
from services.identity.rules.cluster import Cluster
from services.identity.tables import cluster_gps, clusters
from services.kernel.caller import Caller


def save(connection: Connection, caller: Caller, wanted: Cluster) -> Cluster:
    """The cluster as it then stands; the same again changes nothing. Whoever is in charge of it goes on with a new token."""
    caller.must_see_region(wanted.block, "cluster.block")
    _lock(connection, wanted.block)
    held = next(iter(queries.clusters_of(connection, [wanted.cluster_id])), None)
    if held == wanted:
        return held
    if held:
        rules.must_stay(held, wanted)
    rules.must_be_free(wanted, queries.clusters_within(connection, wanted.block))
    values = {"cluster_id": wanted.cluster_id, "block": wanted.block, "name": wanted.name}
    kept = postgresql.insert(clusters).values(values)
    connection.execute(kept.on_conflict_do_update(index_elements=["cluster_id"], set_={"name": wanted.name}))
    before = held.gps if held else frozenset()
    added, removed = sorted(wanted.gps - before), sorted(before - wanted.gps)
    connection.execute(delete(cluster_gps).where(cluster_gps.c.cluster_id == wanted.cluster_id, among(cluster_gps.c.gp, removed)))
    if added:
        connection.execute(insert(cluster_gps), [{"gp": gp, "cluster_id": wanted.cluster_id} for gp in added])
    if added or removed:
        for user_id in queries.in_charge_of(connection, wanted):
            session.stale(connection, user_id)
    audit.changed(connection, caller, "cluster.save", wanted.cluster_id, block=wanted.block, name=wanted.name, added=added, removed=removed)
    return wanted


def _lock(connection: Connection, block: str) -> None:
    """One change at a time within a block, so that of two clusters that take the same GP at once the second is refused."""
    connection.execute(text("select pg_advisory_xact_lock(hashtextextended(:block, 0))"), {"block": f"identity clusters {block}"})
