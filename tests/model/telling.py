"""Plays a story to its end, tells it a line a step, and compares what the rows hold with what the story says."""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable, Iterator, Sequence
from decimal import Decimal
from functools import partial

from tests.model.bench import Bench
from tests.model.expect import Expected
from tests.model.player import LookUps, Player
from tests.model.receiver import Receiver
from tests.model.shop import Order, Shop, approved_cards
from tests.model.stories import MOVES, Plan, Story
from tests.model.truth import Attempt, Clock, Kind, Toss, Webhook

PRICES = {"KRW": Decimal(10000), "USD": Decimal("99.50")}
WRONG_PRICE = Decimal(100)
STEP_SECONDS = 7
OFF = {"": 0.0, "3 minutes off": 180.0, "9 hours off": 32400.0}

Option = tuple[str, Callable[[], Awaitable[None]]]
"""Something that can be done now: the line that tells it, and the doing."""


class Wrong(AssertionError):
    """A story whose end is not what it should be, with the story."""


def play(bench: Bench, story: Story, receiver: type[Player] | type[Receiver] = Player) -> list[str]:
    """Plays a story to its end, and returns it as text. Raises Wrong where rows or answers are not as they must be."""
    return Telling(bench, story, receiver).play()


def _circumstances(story: Story) -> Iterator[str]:
    if story.is_signed:
        yield "deliveries are signed"
    if story.by_order >= 0 and any(len(plan.attempts) > 1 for plan in story.plans):
        yield f"a look-up by order answers with attempt {story.by_order + 1}"
    if len(story.of_accounts) == 1:
        yield f"accounts send {story.of_accounts[0]} only"


class Telling:
    """One story while it is played."""

    player: Player | Receiver

    def __init__(
        self,
        bench: Bench,
        story: Story,
        receiver: type[Player] | type[Receiver] = Player,
    ) -> None:
        self.bench = bench
        self.receiver = receiver
        self.story = story
        self.features = story.features
        self.lines = list(_circumstances(story))
        self.clock = Clock()
        self.toss = Toss(self.clock, story.of_accounts)
        self.shop = Shop(bench.shop)
        self.look_ups = LookUps(self.toss, story.by_order)
        self.orders = [
            Order(f"order-{place}", PRICES[plan.currency], plan.currency) for place, plan in enumerate(story.plans, 1)
        ]
        self.place = 0
        self.sent: set[Webhook] = set()
        self.acknowledged: dict[Webhook, int] = {}
        """The place in the story at which each webhook was first answered 200."""

    def play(self) -> list[str]:
        """Plays the story's steps."""
        return self.play_from(lambda telling: telling._take_all())

    def play_from(self, source: Callable[["Telling"], Awaitable[None]]) -> list[str]:
        """Plays what `source` takes, and then the end; the story as text. Raises Wrong."""
        return asyncio.run(self._play(source))

    async def _play(self, source: Callable[["Telling"], Awaitable[None]]) -> list[str]:
        self.bench.clean()
        self.player = self.receiver(self.bench, self.clock, self.look_ups, self.shop, is_signed=self.story.is_signed)
        try:
            await source(self)
            await self._end()
        except Wrong:
            raise
        except Exception as error:
            raise Wrong("\n".join(["", *self.lines, f"=> {type(error).__name__}: {error}"])) from error
        finally:
            self.shop.abandon()
        return self.lines

    async def _take_all(self) -> None:
        for step in self.story.steps:
            if options := self.options(step.about, step.picks):
                await self.take(step.about, options[step.picks[0] % len(options)])

    def options(self, about: str, picks: Sequence[int], *, by_number: bool = False) -> list[Option]:
        """What can be done now. picks: places of the webhooks to deliver, or their numbers from 0."""
        match about:
            case "Toss":
                return self._changes()
            case "deliver":
                return self._deliveries(picks, by_number=by_number)
            case "shop":
                return self._writes()
            case "look-ups":
                return self._troubles()
            case "worker":
                return self._works()
            case _:
                return []

    async def take(self, about: str, option: Option) -> None:
        """Does one thing, and tells it."""
        self.place += 1
        self.clock.advance(STEP_SECONDS)
        line, do = option
        self.lines.append(f"{about:<9}{line}")
        await do()
        await self.player.settle()
        self._note_answers()

    def _note_answers(self) -> None:
        for answer in self.player.answers:
            if answer.status == 200:
                self.acknowledged.setdefault(answer.webhook, self.place)

    # -- what can be done now --

    def _changes(self) -> list[Option]:
        options: list[Option] = []
        for order, plan in zip(self.orders, self.story.plans, strict=True):
            for place in range(len(plan.attempts)):
                attempt = self.toss.attempts.get(f"{order.order_id}-p{place + 1}")
                if attempt is None:
                    options += self._openings(order, plan, place)
                    break
                options += [
                    (f"{attempt.payment_key}: {name}", partial(self._move, attempt, (name,)))
                    for name in self.toss.moves(attempt)
                    if self._is_in(MOVES.get(name))
                ]
        return options

    def _openings(self, order: Order, plan: Plan, place: int) -> list[Option]:
        """A new payment and the first that happens to it: nothing is told of a window that only opens."""
        kind, is_wrong = plan.attempts[place]
        key = f"{order.order_id}-p{place + 1}"
        price = WRONG_PRICE if is_wrong else order.price
        starts: dict[str, str | None] = {"issue": None, "expire": "failures"}
        if kind is Kind.CARD:
            starts = {"authenticate, approve": None, "authenticate": "attempts", "authenticate, abort": "failures"}

        async def begin(names: Sequence[str]) -> None:
            await self._move(self.toss.open(key, order.order_id, kind, price, order.currency), names)

        return [
            (f"{key} ({kind.name.lower()}, {price} {order.currency}): {names}", partial(begin, names.split(", ")))
            for names, feature in starts.items()
            if self._is_in(feature)
        ]

    async def _move(self, attempt: Attempt, names: Sequence[str]) -> None:
        for name in names:
            self.toss.move(attempt, name)
        self.lines[-1] += f" -> {attempt.status}"

    def _deliveries(self, picks: Sequence[int], *, by_number: bool) -> list[Option]:
        """Those that were not sent yet come first, so that small numbers pick them; others are re-sends."""
        webhooks = self.toss.webhooks
        if not by_number:
            webhooks = sorted(webhooks, key=lambda webhook: (webhook in self.acknowledged, webhook in self.sent))
        chosen = list(dict.fromkeys(webhooks[pick % len(webhooks)] for pick in picks if webhooks))

        async def deliver() -> None:
            self.sent.update(chosen)
            await self.player.deliver(chosen)

        return [(", ".join(map(str, chosen)), deliver)] if chosen else []

    def _writes(self) -> list[Option]:
        if self.shop.has_open_transaction:
            return [("commits", self._commit)]
        return [option for order in self.orders for option in (*self._inserts(order), *self._updates(order))]

    def _inserts(self, order: Order) -> list[Option]:
        if order.is_inserted:
            return []
        is_made = self.player.has_row(order.order_id)
        if is_made and not self._is_in("late"):
            return []

        async def insert(paid_by: Attempt | None = None, *, stays_open: bool = False) -> None:
            self.shop.insert(order, paid_by, stays_open=stays_open)

        line = f"inserts {order.order_id} at {order.price} {order.currency}"
        options: list[Option] = [(line, insert)] if self._is_in("inserts") or is_made else []
        if self._is_in("open"):
            options.append((f"{line}, not yet committed", partial(insert, stays_open=True)))
        paid = approved_cards(order, self.toss.of_order(order.order_id)) if self._is_in("late") else []
        options += [(f"{line}, paid by {attempt.payment_key}", partial(insert, attempt)) for attempt in paid]
        return options

    def _updates(self, order: Order) -> list[Option]:
        if not order.is_inserted or order.written_for:
            return []
        options: list[Option] = []
        for attempt in approved_cards(order, self.toss.of_order(order.order_id)):
            if self._is_in("updates"):
                options.append(self._marking(order, attempt, attempt.payment_key))
            if self._is_in("keeps"):
                options += [self._marking(order, attempt, order.placeholder, off) for off in OFF]
        return options

    def _marking(self, order: Order, attempt: Attempt, key: str, off: str = "") -> Option:
        async def mark() -> None:
            self.shop.mark_paid(order, attempt, self.place, key, dt.timedelta(seconds=OFF[off]))

        return f"marks {order.order_id} paid by {attempt.payment_key} under {key}" + f", {off}" * bool(off), mark

    async def _commit(self) -> None:
        self.shop.commit()

    def _troubles(self) -> list[Option]:
        look_ups = self.look_ups

        async def put(name: str, value: object) -> None:
            setattr(look_ups, name, value)
            if not look_ups.holds:
                look_ups.release()

        options: list[Option] = []
        if self._is_in("held"):
            told = "are answered" if look_ups.holds else "are held back from now on"
            options.append((told, partial(put, "holds", not look_ups.holds)))
        if self._is_in("lag"):
            options += [
                (f"are {behind} changes behind", partial(put, "changes_behind", behind))
                for behind in range(3)
                if behind != look_ups.changes_behind
            ]
        if self._is_in("away"):
            told = "work again" if look_ups.is_away else "fail"
            options.append((told, partial(put, "is_away", not look_ups.is_away)))
        return options

    def _works(self) -> list[Option]:
        options: list[Option] = [("looks at what waits", self._work)] if self._is_in("worker") else []
        return [*options, *([("looks for overdue accounts", self.player.sweep)] if self._is_in("due") else [])]

    async def _work(self) -> None:
        if not await self.player.work():
            self.lines.pop()

    def _is_in(self, feature: str | None) -> bool:
        return feature is None or feature in self.features

    # -- the end --

    async def _end(self) -> None:
        """Toss answers, nothing lags or is held back, all webhooks come, the worker works: then rows must be right."""
        self.place += 1
        if self.shop.has_open_transaction:
            self.shop.commit()
        self.look_ups.is_away = self.look_ups.holds = False
        self.look_ups.changes_behind = 0
        self.look_ups.release()
        await self.player.settle()
        self._note_answers()
        self.place += 1
        await self.player.finish(self.toss.webhooks)
        self._note_answers()
        complaints = [*self._about_answers(), *self._about_orders()]
        if complaints:
            told = "end      every webhook is delivered, the worker is done"
            raise Wrong("\n".join(["", *self.lines, told, *(f"=> {complaint}" for complaint in complaints)]))

    def _about_answers(self) -> list[str]:
        found = [f"the service approved {key} by itself" for key in self.look_ups.approvals]
        if self._is_in("answers"):
            refused = [answer for answer in self.player.answers if answer.status != 200 and not answer.is_excused]
            found += [f"{answer.webhook} was answered {answer.status}" for answer in refused]
        return found

    def _about_orders(self) -> list[str]:
        rows = {row["order_id"]: row for row in self.player.rows("select * from payments")}
        events = self.player.rows("select order_id, status, reason from webhook_events")
        complaints = []
        for order in self.orders:
            places = [place for webhook, place in self.acknowledged.items() if webhook.order_id == order.order_id]
            wrote_last = order.wrote_at >= max(places, default=-1)
            own = [event for event in events if event["order_id"] in (order.order_id, None)]
            is_nameless = self.story.is_signed and self.story.of_accounts == ("DEPOSIT_CALLBACK",)
            expected = Expected(order, self.toss.of_order(order.order_id), wrote_last, is_nameless)
            complaints += expected.complaints(rows.get(order.order_id), own)
        return complaints
