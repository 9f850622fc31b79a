"""A host as the file gives it: values with their places, before they are known to fit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowc.cluster.address import is_loopback, join, split
from flowc.cluster.cluster import Start
from flowc.cluster.kinds import Filled, Given
from flowc.source import Span


@dataclass(frozen=True)
class Draft:
    """`general` is the file's own `start`. A draft may lack its address, if that is damaged."""

    name: str
    at: Span
    given: Filled
    general: Given[Start] | None

    @classmethod
    def of(cls, name: str, given: Given[Filled], general: Given[Start] | None) -> Draft:
        return cls(name, given.key.span, given.value, general)

    @property
    def address(self) -> str:
        """Empty where it is damaged."""
        return str(self.given.get("address", ""))

    @property
    def address_span(self) -> Span:
        address = self.given.given("address")
        return address.span if address else self.at

    @property
    def roles(self) -> tuple[str, ...]:
        return tuple(self.given.get("roles", ("worker",)))

    @property
    def workers(self) -> int:
        return int(self.given.get("workers", 1)) if "worker" in self.roles else 0

    @property
    def ps(self) -> int:
        return int(self.given.get("ps", 1)) if "ps" in self.roles else 0

    @property
    def devices(self) -> Mapping[str, Given[Filled]]:
        found: Mapping[str, Given[Filled]] = self.given.get("devices", {})
        return found

    @property
    def ssh(self) -> Given[Filled] | None:
        return self.given.given("ssh")

    @property
    def start_given(self) -> Given[Start] | None:
        """Where it is said how this host's tasks are started, if anywhere."""
        return self.given.given("start") or self.general

    @property
    def start(self) -> Start:
        given = self.start_given
        if given is not None:
            return given.value
        return "local" if self.loopback else "none"

    @property
    def loopback(self) -> bool:
        return bool(self.address) and is_loopback(self.address)

    @property
    def elsewhere(self) -> bool:
        """Whether it is reached over a network."""
        return bool(self.address) and not is_loopback(self.address)

    def addresses(self) -> tuple[str, ...]:
        """Of its workers, then of its ps tasks: ports count up, except from 0."""
        host, port = split(self.address)
        step = 1 if port else 0
        return tuple(join(host, port + n * step) for n in range(self.workers + self.ps))
