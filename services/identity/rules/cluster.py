"""Clusters: Gram Panchayats of a block that a Block Program Manager is put in charge of (domain 12)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.kernel.caller import Caller
from services.kernel.errors import Conflict, Forbidden, Invalid
from services.kernel.geography import Geography
from services.kernel.names import clean_name
from services.kernel.region import Level, check_region, contains, level

GPS_MAX = 100  # Their paths travel in every token of whoever is in charge.


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as stored; block and GPs are LGD paths."""

    cluster_id: UUID
    block: str
    name: str
    gps: frozenset[str]


def check_block(region: str, field: str = "block") -> str:
    if level(region) != Level.BLOCK:
        raise Invalid("REGION_LEVEL", "Clusters lie in a block; {region} is none.", field=field, region=region)
    return region


def must_be_hers(caller: Caller, block: str) -> str:
    """The block whose clusters she asks for, her own where she names none. Who is in charge of clusters sees little of it, but it is hers."""
    block = check_block(check_region(block, "block") or caller.region)
    if not contains(caller.region, block):
        raise Forbidden("REGION_NOT_YOURS", "The region {region} is not within yours.", field="block", region=block)
    return block


def seen(caller: Caller, found: Iterable[Cluster]) -> list[Cluster]:
    """Of somebody in charge of clusters, those."""
    return [one for one in found if not caller.clusters or not one.gps.isdisjoint(caller.clusters)]


def check(cluster_id: UUID, block: str, name: str, gps: Iterable[str], geography: Geography, today: date) -> Cluster:
    """The cluster that somebody asks for, or the first refusal; fields are named as in the request."""
    check_block(geography.must_know(block, today, "cluster.block"), "cluster.block")
    wanted = frozenset(gps)
    if len(wanted) > GPS_MAX:
        raise Invalid("CLUSTER_TOO_LARGE", "A cluster has at most {most} Gram Panchayats.", field="cluster.gps", most=GPS_MAX)
    for gp in sorted(wanted):
        geography.must_know(gp, today, "cluster.gps")
        if level(gp) != Level.GP or not contains(block, gp):
            raise Invalid("CLUSTER_GP", "{gp} is no Gram Panchayat of this block.", field="cluster.gps", gp=gp)
    return Cluster(cluster_id, block, clean_name(name, "cluster.name"), wanted)


def must_stay(held: Cluster, wanted: Cluster) -> None:
    if held.block != wanted.block:
        raise Conflict("CLUSTER_ELSEWHERE", "A cluster stays in its block; make another one.", field="cluster.block")


def must_be_free(wanted: Cluster, others: Iterable[Cluster]) -> None:
    """Refuse where a GP is in another cluster already; the refusal names the first one."""
    for other in others:
        for gp in sorted(wanted.gps & other.gps) if other.cluster_id != wanted.cluster_id else ():
            raise Conflict(
                "GP_IN_OTHER_CLUSTER", "{gp} is in the cluster {name}; take it out there first.", field="cluster.gps", gp=gp, name=other.name
            )
