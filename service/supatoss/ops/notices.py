"""What an action answered, in words for the page that follows it."""

from supatoss.eventlog import EventOutcome
from supatoss.inbox.meaning import Intent
from supatoss.ops.visits import Visit

_TONES = {"replayed": "good", "ignored": "good", "dry_run": "wait", "unchanged": "wait"}


def leave_notice(visit: Visit, outcome: EventOutcome, *, dry_run: bool) -> None:
    """Hands an outcome to the next page."""
    code = "dry_run" if dry_run and outcome.outcome == "replayed" else outcome.outcome
    visit.note(code, status=outcome.status or "", reason=outcome.reason or "")


def read_notice(visit: Visit) -> dict[str, str] | None:
    """The notice that the action before this page left, or None: tone, title and text."""
    note = visit.take_note()
    if note is None:
        return None
    code, details = note
    words = visit.words
    text = ""
    if code in ("replayed", "dry_run"):
        reason = words.named("reason", details["reason"]) if details["reason"] else ""
        text = words.t("done_text.becomes", status=words.named("status", details["status"]), reason=reason).strip()
        if code == "replayed" and details["status"] == Intent.PENDING:
            text = f"{text} {words.t('done_text.pending')}"
    elif code == "refused":
        text = words.named("refusal", details["reason"])
    elif code in ("in_hand", "changed"):
        text = words.t(f"done_text.{code}")
    is_good = code == "replayed" and details["status"] != Intent.FAILED
    tone = _TONES.get(code, "bad") if code != "replayed" or is_good else "bad"
    return {"tone": tone, "title": words.named("done", code), "text": text}
