"""What stories are made of: plans of orders, and steps that pick from what is possible. Made by Hypothesis."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from tests.model.truth import BOTH, Kind

FEATURES: Mapping[str, str] = {
    "orders": "two orders, whose events share calls",
    "attempts": "several attempts at paying for an order",
    "other": "a look-up by order answers with any attempt of it",
    "accounts": "virtual accounts beside cards",
    "callbacks": "accounts that send one of the two types of webhooks only",
    "cancels": "cancels, whole and in part",
    "reversals": "deposits that are taken back",
    "failures": "payments that fail or expire",
    "due": "due dates that pass, and the sweep that looks for them",
    "inserts": "the application inserts its row, before or between",
    "late": "the application inserts when webhooks have made the row, perhaps as a renewal that is paid already",
    "open": "the application's insert stays uncommitted while webhooks come",
    "updates": "the application marks its row paid under Toss's key",
    "keeps": "the application marks its row paid and keeps its placeholder, its time perhaps off",
    "prices": "the window asks for another price than the application stored",
    "dollars": "amounts with cents",
    "held": "look-ups that are answered after the state at Toss moved on",
    "lag": "look-ups that answer with an earlier state",
    "away": "a Toss that cannot be asked",
    "signed": "deliveries with the signature of the merchant's guide",
    "worker": "the worker between deliveries",
    "answers": "a genuine delivery is answered 200 while Toss can be asked",
}
"""What stories may have in them; a story about one thing leaves the others out."""

ALL = frozenset(FEATURES)
"""What is asked of the service."""

MOVES: Mapping[str, str] = {
    "cancel part": "cancels",
    "cancel all": "cancels",
    "take back": "reversals",
    "pass due date": "due",
    "abort": "failures",
    "expire": "failures",
}
"""The moves at Toss that need a feature."""

ORDERS = 2
ATTEMPTS = 2
STEPS = (10, 24)
"""Fewest and most steps; what shrinks away becomes a step without anything in it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one order is going to be like. attempts: how each is paid, and whether the window asks for a wrong price."""

    currency: str
    attempts: tuple[tuple[Kind, bool], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it is about, and numbers that pick from what is possible then."""

    about: str = "nothing"
    picks: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is decided beforehand."""

    plans: tuple[Plan, ...]
    by_order: int
    of_accounts: tuple[str, ...]
    is_signed: bool
    steps: tuple[Step, ...]
    features: frozenset[str] = ALL


def stories(features: frozenset[str] = ALL) -> st.SearchStrategy[Story]:
    """Stories with some of these features, or all: a few at a time go deeper than all of them at once."""
    some = st.frozensets(st.sampled_from(sorted(features)), min_size=1).map(lambda few: few | (features & {"answers"}))
    return st.one_of(some, st.just(features)).flatmap(_stories_with)


def _stories_with(features: frozenset[str]) -> st.SearchStrategy[Story]:
    kinds = st.sampled_from([Kind.CARD, Kind.ACCOUNT] if "accounts" in features else [Kind.CARD])
    wrong = st.sampled_from([False, False, False, True]) if "prices" in features else st.just(False)
    attempts = st.lists(st.tuples(kinds, wrong), min_size=1, max_size=ATTEMPTS if "attempts" in features else 1)
    plan = st.builds(Plan, st.sampled_from(["KRW", "USD"] if "dollars" in features else ["KRW"]), attempts.map(tuple))
    plans = st.lists(plan, min_size=1, max_size=ORDERS if "orders" in features else 1)
    story = st.builds(
        Story,
        plans.map(tuple),
        st.integers(0, ATTEMPTS - 1) if "other" in features else st.just(-1),
        st.sampled_from([BOTH, BOTH[:1], BOTH[1:]] if "callbacks" in features else [BOTH]),
        st.booleans() if "signed" in features else st.just(value=False),
        st.lists(st.one_of(_steps(features)), min_size=STEPS[0], max_size=STEPS[1]).map(tuple),
        st.just(features),
    )
    return story.map(_with_one_account)


def _with_one_account(story: Story) -> Story:
    """Of several accounts of an order that callbacks alone tell of, nobody can learn more than one key."""
    if story.of_accounts != BOTH[1:]:
        return story
    card, account = Kind.CARD, Kind.ACCOUNT
    plans = [
        replace(
            plan,
            attempts=tuple(
                (card if kind is account and place else kind, wrong)
                for place, (kind, wrong) in enumerate(plan.attempts)
            ),
        )
        for plan in story.plans
    ]
    return replace(story, plans=tuple(plans))


def _steps(features: frozenset[str]) -> list[st.SearchStrategy[Step]]:
    """The kinds of steps, the more frequent ones more than once."""
    one = st.tuples(st.integers(0, 11))
    several = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)
    kinds = [
        st.just(Step()),
        *[st.builds(Step, st.just("Toss"), one)] * 4,
        *[st.builds(Step, st.just("deliver"), several)] * 3,
    ]
    if features & {"inserts", "open", "late", "updates", "keeps"}:
        kinds += [st.builds(Step, st.just("shop"), one)] * 2
    if features & {"held", "lag", "away"}:
        kinds += [st.builds(Step, st.just("look-ups"), one)] * 2
    if features & {"worker", "due"}:
        kinds.append(st.builds(Step, st.just("worker"), one))
    return kinds
