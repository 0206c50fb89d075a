"""The way to Supabase: the only room that imports its client."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supatoss.store.calls import Store

__all__ = ["Store"]


def __getattr__(name: str) -> Any:
    """Imports the calls of all subjects only where they are asked for: a command needs those of one."""
    if name != "Store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from supatoss.store.calls import Store  # noqa: PLC0415 - see above

    return Store
