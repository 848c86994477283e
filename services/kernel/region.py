"""Regions: an LGD path, state.district.block.gp.village, as "9.178.1204.77.5"; a wider region is a prefix."""

from enum import IntEnum

from services.kernel.errors import Invalid

NATION = ""
NOWHERE = "-"  # No path and in none: where somebody is who is in charge of nothing.
NO_GP = "0"  # Some states have no Gram Panchayat: the path holds its place, so that a depth always is a level.


class Level(IntEnum):
    """The value is how many codes the path has."""

    NATION = 0
    STATE = 1
    DISTRICT = 2
    BLOCK = 3
    GP = 4
    VILLAGE = 5


def parse_level(name: str, field: str = "level") -> Level:
    """The level of that name ("BLOCK")."""
    try:
        return Level[name]
    except KeyError:
        levels = ", ".join(level.name for level in Level)
        raise Invalid("REGION_LEVEL", "{name} is no level; these are: {levels}.", field=field, name=name[:20], levels=levels) from None


def check_region(path: str, field: str = "region") -> str:
    """The path itself, or a refusal where it has not the shape of one. Whether it exists, geography knows."""
    codes = path.split(".") if path else []
    if len(codes) > Level.VILLAGE or not all(code.isascii() and code.isdecimal() and len(code) <= 7 for code in codes):
        raise Invalid("REGION_INVALID", "{path} is no LGD path, as 9.178.1204 is.", field=field, path=path[:60])
    return path


def level(path: str) -> Level:
    """The level that a path reaches down to."""
    return Level(path.count(".") + 1 if path else 0)


def contains(wider: str, region: str) -> bool:
    """Whether `region` is `wider` or lies within it."""
    return not wider or region == wider or region.startswith(wider + ".")


def ancestors(path: str) -> list[str]:
    """The region and all wider ones up to the state, the state first."""
    codes = path.split(".") if path else []
    return [".".join(codes[: depth + 1]) for depth in range(len(codes))]


def at_level(path: str, wanted: Level) -> str:
    """The wider region of `path` at that level; `path` itself where it does not reach so far down."""
    return ".".join(path.split(".")[:wanted]) if wanted else NATION
