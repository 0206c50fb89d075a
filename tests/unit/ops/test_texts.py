"""Both languages say everything, and nothing that nobody asks for."""

import re
import string
from pathlib import Path

import pytest

from supatoss.alerts.rules import Rule
from supatoss.errors import Reason
from supatoss.inbox.actions import Refusal
from supatoss.inbox.bulk import BatchAction
from supatoss.inbox.event import EventReason, EventStatus, Proof
from supatoss.ops.i18n import CATALOGUES, Language, Translator, choose_language
from supatoss.ops.listings import LISTINGS
from supatoss.store.findings import FindingKind, FindingReason
from supatoss.toss.fields import PaymentStatus, PayoutStatus

OPS = Path(__file__).parents[3] / "service" / "supatoss" / "ops"
OTHER_REASONS = (
    *(
        "amount_mismatch",
        "double_charge",
        "too_many_events",
        "ambiguous_subscription",
        "refused_by_database",
        "hook_failed",
        "unknown_order",
        "adopted",
        "not_recorded_by_supatoss",
    ),
    *(
        "approval_amount_mismatch",
        "no_stored_amount",
        "unavailable",
        "not_found",
        "refused",
        "misconfigured",
        "operator",
    ),
)
"""Those that SQL and the worker give."""

CODES = {
    "rule": Rule,
    "status": EventStatus,
    "proof": (*Proof, "none"),
    "proof_note": (*Proof, "none"),
    "payment": (*PaymentStatus, "PENDING"),
    "reason": (*EventReason, *OTHER_REASONS, "none"),
    "advice": (*EventReason, *OTHER_REASONS),
    "reconciliation_by": ("operator", "schedule"),
    "finding_kind": FindingKind,
    "finding_advice": (*FindingReason, "none"),
    "finding_field": (
        *("status", "amount", "pay_out_amount", "currency", "balance", "approved_at", "canceled_at", "cancels"),
        *("payment_key", "transaction_key", "refund_status", "fee"),
    ),
    "rejected": (*Reason, "acknowledged"),
    "refusal": Refusal,
    "span": ("seconds", "minutes", "hours", "days"),
    "environment": ("test", "live"),
    "overview": ("last_24", "last_168"),
    "links": ("receipt", "receipt_of_order", "developers", "dashboard"),
    "delivery_effect": ("create", "count", "move", "ask", "reopen"),
    "sqlstate": ("22001", "22003", "23502", "23503", "23505", "23514", "42501", "42703", "42883", "42P01", "P0001"),
    "actions": (
        *(f"{name}_note" for name in ("replay", "ignore", "cancel_at_toss", "check_at_toss")),
        *("cancel_at_toss", "check_at_toss"),
    ),
    "bulk": tuple(f"{action}_{part}" for action in BatchAction for part in ("title", "now")),
    "bulk_state": ("tried", "running", "interrupted", "finished"),
    "filter": (
        *(f"bad_{name}" for name in ("status", "type", "reason", "search", "time", "day", "order", "page")),
        *(f"search_{listing.name}" for listing in LISTINGS),
    ),
    "nav": (*(listing.name for listing in LISTINGS), "overview", "events", "reconciliations", "health"),
    "column": {name for listing in LISTINGS for name in (*(item.name for item in listing.columns), *listing.exported)},
    **{listing.name: ("title", "lead", "none_title", "none_text") for listing in LISTINGS},
    "alert": ("open", "ended"),
    "health": (
        *("schema", "toss", "backlog", "failed", "alerts", "sending", "processes", "newest", "reconciled"),
        *(f"tone_{tone}" for tone in ("processed", "pending", "failed")),
        *(f"key_{state}" for state in ("accepted", "refused", "silent")),
        *("secret_set", "secret_unset"),
    ),
    "role": ("web", "worker"),
    "sums": ("asked", "paid", "refunded", "remaining", "surplus", "fee", "paid_out"),
    "cycle": ("monthly", "yearly"),
    "settlement_kind": ("settlement", "payout"),
    "settlement": PayoutStatus,
    "done_text": ("becomes", "in_hand", "changed", "pending", "repaired"),
    "done": (
        *("replayed", "ignored", "unignored", "repaired", "dry_run", "unchanged", "in_hand", "changed", "missing"),
        *("refused", "not_open", "bulk_none", "bulk_unticked"),
    ),
    "action": ("replay", "ignore", "unignore", "repair"),
    "problem": tuple(
        f"{kind}_{part}" for kind in ("store", "toss", "missing", "form", "internal") for part in ("title", "text")
    ),
}
"""Names that are put together when a page is made: their kind, and the codes that data can hold."""


def _sources() -> str:
    files = [*OPS.glob("*.py"), *(OPS / "templates").glob("*.html")]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_catalogues_have_the_same_keys_and_the_same_values_to_fill_in() -> None:
    english, korean = CATALOGUES[Language.EN], CATALOGUES[Language.KO]
    assert english.keys() == korean.keys()
    assert {key: _fields(text) for key, text in english.items()} == {key: _fields(text) for key, text in korean.items()}


@pytest.mark.parametrize("language", list(Language))
def test_no_text_is_empty(language: Language) -> None:
    assert [key for key, text in CATALOGUES[language].items() if not text.strip() or text != text.strip()] == []


def test_korean_is_korean() -> None:
    same = {key for key, text in CATALOGUES[Language.KO].items() if text == CATALOGUES[Language.EN][key]}
    assert same == {key for key in same if not re.search("[a-z]{4}", CATALOGUES[Language.KO][key])}


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("kind", sorted(CODES))
def test_every_code_has_a_name(language: Language, kind: str) -> None:
    missing = [code for code in CODES[kind] if f"{kind}.{code}" not in CATALOGUES[language]]
    assert missing == [], f"service/supatoss/ops/texts/{language}.py has no text for these of {kind}"


def test_every_text_is_used_and_every_one_that_is_used_is_there() -> None:
    sources = _sources()
    used = set(re.findall(r"""\bt\(\s*["']([a-z_]+\.[a-z_0-9]+)["'][,)]""", sources))
    used |= set(re.findall(r"""["']([a-z_]+\.[a-z_0-9]+)["']""", sources)) & CATALOGUES[Language.EN].keys()
    assert used <= CATALOGUES[Language.EN].keys(), used - CATALOGUES[Language.EN].keys()
    from_data = {f"{kind}.{code}" for kind, codes in CODES.items() for code in codes}
    kinds_of_data = ("reason.", "advice.", "payment.", "subscription.", "reconciliation_", "problem.")
    idle = {key for key in CATALOGUES[Language.EN].keys() - used - from_data if not key.startswith(kinds_of_data)}
    assert idle == set()


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", Language.EN),
        (None, "ko", Language.KO),
        (None, "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", Language.KO),
        (None, "en-US,en;q=0.9,ko;q=0.8", Language.EN),
        (None, "fr, ko;q=0.3", Language.KO),
        (None, "ko;q=0", Language.EN),
        (None, "ko;q=x, en;q=0.1", Language.EN),
        (None, "*", Language.EN),
        (None, "KO-kr", Language.KO),
        ("en", "ko", Language.EN),
        ("ko", "en", Language.KO),
        ("tlh", "ko", Language.KO),
    ],
)
def test_the_language_is_the_chosen_one_else_the_one_the_browser_prefers(
    chosen: str | None, accepted: str, language: Language
) -> None:
    assert choose_language(chosen, accepted) == language


def test_a_code_without_a_name_is_shown_as_it_is() -> None:
    assert Translator(Language.KO).named("reason", "new_in_a_later_release") == "new_in_a_later_release"
    assert Translator(Language.KO).named("reason", None) == "사유 없음"


def test_a_text_that_is_not_there_is_a_defect() -> None:
    with pytest.raises(KeyError):
        Translator(Language.EN).t("no.such_text")
