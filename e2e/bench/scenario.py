"""What is measured: tables of hosts and routes, the same for every contestant."""

import dataclasses
import re


@dataclasses.dataclass(frozen=True)
class Table:
    """Hosts, each with path prefixes. All of them go to the one backend."""

    name: str
    hosts: tuple[str, ...]
    prefixes: tuple[str, ...]

    @property
    def slug(self) -> str:
        return re.sub("[^a-z0-9]+", "-", self.name)

    @property
    def target(self) -> tuple[str, str]:
        """The host and path that are asked for: the last ones, which a scan finds last."""
        return self.hosts[-1], self.prefixes[-1] + "/x"


def few() -> Table:
    return Table("three prefixes", ("example.com",), ("/app", "/api", "/static"))


def prefixes(count: int) -> Table:
    return Table(f"{count:,} prefixes on one host", ("example.com",), tuple(f"/service-{i:05}" for i in range(count)))


def hosts(count: int) -> Table:
    return Table(f"{count:,} hosts", tuple(f"host-{i:05}.example.com" for i in range(count)), ("/app",))
