"""Limits look-ups for unsigned deliveries, and decides who goes first when they are used up.

Anybody can send one. Toss's published addresses have a share of their own; everybody else shares another one, and when
that is used up, only deliveries about orders that the tables know are looked up. The rest is answered 503, and
Toss retries what is genuine.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import structlog

from supatoss.addresses import Network, parse_address, sender_of
from supatoss.errors import CannotVerify, NotGenuine, Reason, TooManyLookups, TossThrottled
from supatoss.inbox.allowance import Allowance, Recent
from supatoss.inbox.claims import Claim
from supatoss.inbox.known_orders import KnownOrders
from supatoss.inbox.lookups import Lookups
from supatoss.store import Store
from supatoss.telemetry import DELIVERY_LOOKUPS
from supatoss.toss.addresses import PUBLISHED
from supatoss.toss.client import TossClient
from supatoss.toss.ratelimit import KNOWN, STRANGER, TOSS, Purpose

PER_SUBJECT = 10
"""Look-ups a minute about one payment or order: it has a few events, and cancels in a row share look-ups."""

STRANGERS_PER_ADDRESS = 30
"""A minute. Only Toss has a reason to send more."""

KNOWN_PER_ADDRESS = 300
"""A minute, about orders that the tables know: a proxy, or an address of Toss that is not published yet."""

KNOWN_PER_MINUTE = 2400
"""Of all addresses: what KNOWN's eight places carry at Toss's usual 0.2 s."""

KNOWN_AT_ONCE = 1
"""About one order, whatever number of deliveries names the same payment: somebody with orders of their own must not
fill the queue with them."""

QUEUE_PER_PLACE = 6
"""Look-ups in hand for each place at Toss, the one in flight included: three seconds' if Toss takes 0.5 s."""

UNKNOWN_SECONDS = 60.0
"""How long a payment key that Toss doesn't know is not looked up again: Toss's first retry comes after a minute."""

UNKNOWN_KEYS = 1000
"""More than strangers may ask about in that time."""

LOG_SECONDS = 10.0
"""Between two log lines about refused look-ups."""

T = TypeVar("T")
_log = structlog.get_logger("supatoss.budget")


@dataclass(frozen=True, slots=True)
class Use:
    """Whose look-up it is: the sender, the payment or order that it is about, and what is looked up."""

    sender: str | None
    subject: str
    name: str


class Share:
    """The look-ups of one kind of sender: in all, of an address, about a payment or order, and in hand."""

    def __init__(
        self, toss: TossClient, purpose: Purpose, per_minute: int, per_address: int, at_once: int | None = None
    ) -> None:
        self.lookups = Lookups(toss, purpose)
        self._purpose = purpose
        self._total = Allowance(per_minute)
        self._addresses = Allowance(per_address)
        self._subjects = Allowance(PER_SUBJECT)
        self._queue = purpose.in_flight * QUEUE_PER_PLACE
        self._at_once = at_once or self._queue
        self._in_hand: list[Use] = []

    def is_free(self, use: Use) -> bool:
        """Whether one more look-up may begin or queue."""
        return self.has_room and self.is_due(use)

    def is_due(self, use: Use) -> bool:
        """Whether the sender, and the payment or order, have look-ups left. Equal ones in hand are one."""
        names = {other.name for other in self._in_hand if other.subject == use.subject} - {use.name}
        return (
            len(names) < self._at_once
            and self._subjects.has(use.subject)
            and (use.sender is None or self._addresses.has(use.sender))
        )

    @property
    def has_room(self) -> bool:
        """Whether there are look-ups left for anybody."""
        return len(self._in_hand) < self._queue and self._total.has("")

    @property
    def is_idle(self) -> bool:
        """Whether a look-up that begins now is sent at once."""
        return len(self._in_hand) < self._purpose.in_flight

    @contextmanager
    def taken(self, use: Use) -> Iterator[Lookups]:
        """Counts one look-up."""
        self._total.take("")
        self._subjects.take(use.subject)
        if use.sender is not None:
            self._addresses.take(use.sender)
        self._in_hand.append(use)
        DELIVERY_LOOKUPS.labels(self._purpose.name).inc()
        try:
            yield self.lookups
        finally:
            self._in_hand.remove(use)


class LookupBudget:
    """Decides whose share of look-ups a delivery uses.

    strangers_per_minute: look-ups for deliveries from other addresses than Toss's, before only known orders count.
    toss_addresses: further addresses of Toss.
    """

    def __init__(
        self,
        store: Store,
        toss: TossClient,
        *,
        strangers_per_minute: int,
        toss_addresses: Sequence[Network] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.of_toss = Lookups(toss, TOSS)
        """For deliveries that are Toss's: signed, or from its addresses."""
        self._strangers = Share(toss, STRANGER, strangers_per_minute, STRANGERS_PER_ADDRESS)
        self._known = Share(toss, KNOWN, KNOWN_PER_MINUTE, KNOWN_PER_ADDRESS, KNOWN_AT_ONCE)
        self._known_orders = KnownOrders(store)
        self._toss_addresses = (*PUBLISHED, *toss_addresses)
        self._unknown = Recent(UNKNOWN_SECONDS, UNKNOWN_KEYS)
        self._clock = clock
        self._refused = 0
        self._logged_at = float("-inf")

    async def spend(
        self, claim: Claim, source_address: str, look_up: Callable[[Lookups], Awaitable[T]], *, is_known: bool = False
    ) -> T:
        """What `look_up` returns. is_known: the tables have the payment of the claim.

        Raises TooManyLookups or CannotVerify, or what `look_up` raises.
        """
        address = parse_address(source_address)
        if address is not None and any(address in network for network in self._toss_addresses):
            DELIVERY_LOOKUPS.labels(TOSS.name).inc()
            return await _verifying(self._noting(claim, look_up(self.of_toss)))
        if claim.payment_key is not None and self._unknown.holds(claim.payment_key):
            DELIVERY_LOOKUPS.labels("remembered").inc()
            raise NotGenuine(Reason.UNKNOWN_TO_TOSS)
        return await self._spend(claim, sender_of(address), look_up, is_known=is_known)

    async def _spend(
        self, claim: Claim, sender: str | None, look_up: Callable[[Lookups], Awaitable[T]], *, is_known: bool
    ) -> T:
        """From strangers' share if that needs no waiting, else from known orders'; else it queues as a stranger."""
        name = claim.payment_key or claim.order_id or ""
        use = Use(sender, name, name)
        may_queue = self._strangers.is_free(use)
        if may_queue and self._strangers.is_idle:
            try:
                with self._strangers.taken(use) as lookups:
                    return await self._noting(claim, look_up(lookups))
            except TossThrottled:
                may_queue = False
        if is_known or await self._known_orders.hold(claim.order_id):
            use = Use(sender, claim.order_id or name, name)
            return await self._spend_known(claim, use, look_up, may_queue=may_queue)
        if may_queue and self._strangers.is_free(use):
            with self._strangers.taken(use) as lookups:
                return await _verifying(self._noting(claim, look_up(lookups)))
        raise self._too_many()

    async def _spend_known(
        self, claim: Claim, use: Use, look_up: Callable[[Lookups], Awaitable[T]], *, may_queue: bool
    ) -> T:
        if not self._known.is_free(use):
            raise self._too_many(may_be_genuine=not self._known.has_room)
        with self._known.taken(use) as lookups:
            if may_queue:
                return await _verifying(self._noting(claim, look_up(lookups)))
            try:
                return await _verifying(look_up(lookups))
            except NotGenuine:
                # Answered and remembered as if nobody knew the order: a stranger must not learn which orders there are.
                raise self._too_many() from None

    async def _noting(self, claim: Claim, looking_up: Awaitable[T]) -> T:
        """Remembers payment keys that Toss doesn't know, until it does."""
        try:
            found = await looking_up
        except NotGenuine as error:
            if error.reason is Reason.UNKNOWN_TO_TOSS and claim.payment_key is not None:
                self._unknown.note(claim.payment_key)
            raise
        if claim.payment_key is not None:
            self._unknown.forget(claim.payment_key)
        return found

    def _too_many(self, *, may_be_genuine: bool = False) -> TooManyLookups:
        DELIVERY_LOOKUPS.labels("refused").inc()
        self._refused += 1
        if self._clock() - self._logged_at >= LOG_SECONDS:
            _log.warning("unsigned deliveries not looked up: too many", refused=self._refused)
            self._refused, self._logged_at = 0, self._clock()
        return TooManyLookups("the look-ups for unsigned deliveries are used up", may_be_genuine=may_be_genuine)


async def _verifying(looking_up: Awaitable[T]) -> T:
    """A throttled look-up for which there is no other share is one that can't be made."""
    try:
        return await looking_up
    except TossThrottled as error:
        raise CannotVerify(str(error)) from error
