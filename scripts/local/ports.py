"""The ports of one run of the local stack."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, count

from scripts.local.children import StackError, is_taken

HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Ports:
    """The ports of one run."""

    service: int
    supabase: int
    emulator: int
    shop: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Ports":
        """From the environment. StackError names a variable whose value is invalid."""
        ports = cls(
            _port(environment, "PORT", 8080),
            _port(environment, "SUPABASE_PORT", 54321),
            _port(environment, "TOSS_PORT", 8090),
            _port(environment, "SHOP_PORT", 8100),
        )
        for (name, port), (other, same) in combinations(ports.by_name(), 2):
            if port == same:
                raise StackError(f"{name} and {other} are both {port}: they must differ")
        return ports

    def by_name(self) -> tuple[tuple[str, int], ...]:
        """Each port with its variable."""
        names = ("PORT", "SUPABASE_PORT", "TOSS_PORT", "SHOP_PORT")
        return tuple(zip(names, (self.service, self.supabase, self.emulator, self.shop), strict=True))

    def check_free(self) -> None:
        """StackError names the variables of all ports that are in use, and free ones."""
        taken = [(name, port) for name, port in self.by_name() if is_taken(port)]
        if taken:
            named = "; ".join(f"{name}: port {port} is taken by another program" for name, port in taken)
            used = {port for _, port in self.by_name()}
            free = " ".join(f"{name}={_next_free(port, used)}" for name, port in taken)
            raise StackError(f"{named}; choose another: make run {free}")


def _next_free(port: int, used: set[int]) -> int:
    """The next port that is free and not used by this run, which counts as used from now on."""
    free = next(number for number in count(port + 1) if number not in used and not is_taken(number))
    used.add(free)
    return free


def _port(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip() or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= HIGHEST_PORT:
        raise StackError(f"{name} must be a port between 1 and {HIGHEST_PORT}, not {text!r}")
    return int(text)
