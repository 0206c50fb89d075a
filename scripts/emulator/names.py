"""The keys and ids that Toss gives: payment keys, transaction keys, secrets, transmission ids."""

import base64
import datetime as dt
import hashlib
import secrets

from scripts.emulator.moments import SEOUL, now

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SEEDED_START = dt.datetime(2026, 1, 1, tzinfo=SEOUL)


class Names:
    """Makes names. With a seed, the same seed gives the same names in the same order, whatever the clock says."""

    def __init__(self, m_id: str, seed: int | None = None) -> None:
        self._m_id = m_id
        self._seed = seed
        self._root = secrets.token_hex(16) if seed is None else f"seed {seed}"
        self._count = 0

    def payment_key(self) -> str:
        """Five characters of the MID, the time to the second, five more characters."""
        return f"{self._m_id[:5]}{self._stamp():%Y%m%d%H%M%S}{self._text(5)}"

    def transaction_key(self, *, is_virtual_account: bool) -> str:
        """Virtual accounts keep the older form of 32 hex digits."""
        return self._digest().hex()[:32].upper() if is_virtual_account else f"txrd_a{self._ulid()}"

    def secret(self) -> str:
        """The secret of a payment."""
        return f"ps_{self._text(28)}"

    def billing_key(self) -> str:
        """32 bytes in URL-safe base64, so it ends in `=`."""
        return base64.urlsafe_b64encode(self._digest()).decode()

    def transmission_id(self) -> str:
        """The id of a webhook to one URL."""
        return f"whtrans_a{self._ulid()}"

    def trace_id(self) -> str:
        """32 hex digits for x-tosspayments-trace-id."""
        return self._digest().hex()[:32]

    def event_id(self) -> str:
        """The id of an event of payouts or sellers."""
        return f"evt_{self._text(20)}"

    def payout_id(self) -> str:
        """The id of a payout."""
        return f"FPA_{int.from_bytes(self._digest()[:4], 'big'):010d}"

    def account_number(self) -> str:
        """The number of a virtual account; those of the test environment start with X."""
        return f"X{int.from_bytes(self._digest()[:6], 'big') % 10**13:013d}"

    def digits(self, count: int) -> str:
        """A number of so many digits, as text."""
        return f"{int.from_bytes(self._digest()[:8], 'big') % 10**count:0{count}d}"

    def _stamp(self) -> dt.datetime:
        return now() if self._seed is None else _SEEDED_START + dt.timedelta(seconds=self._count)

    def _ulid(self) -> str:
        milliseconds = int(self._stamp().timestamp() * 1000)
        number = (milliseconds << 80) | int.from_bytes(self._digest()[:10], "big")
        return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))

    def _text(self, length: int) -> str:
        return "".join(_LETTERS[byte % len(_LETTERS)] for byte in self._digest()[:length])

    def _digest(self) -> bytes:
        self._count += 1
        return hashlib.sha256(f"{self._root} {self._count}".encode()).digest()
