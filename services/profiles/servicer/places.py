"""gRPC in: the places of this instance, searched and downloaded."""

from datetime import date

import grpc

from protos import profiles_pb2
from services.chassis import places
from services.kernel.geography import Geography, Place
from services.kernel.month import today
from services.kernel.page import page_size
from services.kernel.region import Level, ancestors, parse_level

Context = grpc.ServicerContext
PLACES_FOUND = 20
PLACES_FOUND_MAX = 50


class Places:
    """The part of the servicer that answers from the geography file alone."""

    def SearchPlaces(self, request: profiles_pb2.SearchPlacesRequest, _context: Context) -> profiles_pb2.SearchPlacesResponse:
        here, on = places.geography(), today()
        levels = [parse_level(request.level)] if request.level else list(Level)
        within = here.must_know(request.within, on, "within")
        most = min(max(request.size, 0) or PLACES_FOUND, PLACES_FOUND_MAX)
        found = here.search(request.text, within, levels, on=on, most=most)
        return profiles_pb2.SearchPlacesResponse(places=[_show_found(place, here, on) for place in found])

    def ListPlaces(self, request: profiles_pb2.ListPlacesRequest, _context: Context) -> profiles_pb2.ListPlacesResponse:
        here = places.geography()
        within = here.must_know(request.within, today(), "within")
        version = here.mark(within)
        if request.known_version == version:
            return profiles_pb2.ListPlacesResponse(version=version, unchanged=True)
        page = here.page(within, request.page.after, page_size(request.page.size))
        return profiles_pb2.ListPlacesResponse(places=map(show_place, page.places), next=page.next, version=version)


def show_place(place: Place) -> profiles_pb2.Place:
    return profiles_pb2.Place(
        path=place.path,
        name=place.name,
        name_local=place.name_local,
        valid_from=place.valid_from.isoformat(),
        valid_to=place.valid_to.isoformat() if place.valid_to else "",
        lgd_version=place.lgd_version,
        census_code=place.census_code,
        legacy_codes=place.legacy_codes,
        successors=place.successors,
    )


def _show_found(place: Place, here: Geography, on: date) -> profiles_pb2.FoundPlace:
    wider = ancestors(place.path)[1:-1]  # Whoever asks knows her state.
    return profiles_pb2.FoundPlace(place=show_place(place), wider=[here.name(path, on) for path in wider])
