"""Time zones by their names in the IANA Time Zone Database."""

from datetime import tzinfo
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from marshmallow import ValidationError, fields

NO_ZONE = "Must be the name of an IANA time zone, such as Europe/Berlin or UTC."


class Zone(fields.Field[tzinfo]):
    """The name of a time zone in a query (IANA Time Zone Database)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(metadata={"type": "string"}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tzinfo:
        zone = find_zone(value.replace(" ", "+"))  # A plus that is not percent-encoded is a space: Etc/GMT+5.
        if zone is None:
            raise ValidationError(NO_ZONE)
        return zone


class ZoneName(fields.String):
    """The name of a time zone in JSON, or null. It loads to a name that PostgreSQL reads as the same time zone."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_none=True, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        zone = find_zone(value) if isinstance(value, str) else None
        if zone is None:
            raise ValidationError(f"{NO_ZONE[:-1]}, or null.")
        name = str(zone)
        return name if "/" in name or name == "UTC" else list_targets().get(name, name)


def find_zone(name: str) -> tzinfo | None:
    """Return the time zone with an IANA name, in any case; None if there is none."""
    known = list_zones().get(name.lower())
    return ZoneInfo(known) if known else None


@cache
def list_zones() -> dict[str, str]:
    """Return the names of the IANA Time Zone Database by their lower case.

    They are those of the package: the system's can differ, and have "localtime" among them.
    """
    names = files("tzdata").joinpath("zones").read_text().split()
    return {name.lower(): name for name in names if name != "Factory"}


@cache
def list_targets() -> dict[str, str]:
    """Return the IANA target of each link name.

    PostgreSQL reads some names without a place, such as CET, as abbreviations: they have no summer time there.
    """
    lines = files("tzdata").joinpath("zoneinfo", "tzdata.zi").read_text().splitlines()
    links = [line.split() for line in lines if line.startswith("L ")]
    return {name: target for _, target, name in links}
