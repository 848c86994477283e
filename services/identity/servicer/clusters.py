"""gRPC in: clusters of a block."""

import grpc

from protos import identity_pb2
from services.chassis import places
from services.chassis.interceptors import caller
from services.identity import queries
from services.identity.commands import cluster
from services.identity.rules import cluster as rules
from services.identity.rules.cluster import Cluster
from services.identity.servicer.show import transaction
from services.kernel.ids import parse_id
from services.kernel.month import today

Context = grpc.ServicerContext


class Clusters:
    """Which Gram Panchayats somebody is put in charge of."""

    def SaveCluster(self, request: identity_pb2.SaveClusterRequest, _context: Context) -> identity_pb2.Cluster:
        said = request.cluster
        cluster_id = parse_id(said.cluster_id, "cluster.cluster_id")
        wanted = rules.check(cluster_id, said.block, said.name, said.gps, places.geography(), today())
        with transaction() as connection:
            return _show(cluster.save(connection, caller(), wanted))

    def ListClusters(self, request: identity_pb2.ListClustersRequest, _context: Context) -> identity_pb2.ListClustersResponse:
        block = rules.must_be_hers(caller(), request.block)
        with transaction() as connection:
            found = queries.clusters_within(connection, block)
        return identity_pb2.ListClustersResponse(clusters=map(_show, rules.seen(caller(), found)))


def _show(one: Cluster) -> identity_pb2.Cluster:
    return identity_pb2.Cluster(cluster_id=str(one.cluster_id), block=one.block, name=one.name, gps=sorted(one.gps))
