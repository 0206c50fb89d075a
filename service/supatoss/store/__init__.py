"""Access to Supabase: the only package that imports its client."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supatoss.store.calls import Store

__all__ = ["Store"]


def __getattr__(name: str) -> Any:
    """Imports calls only when they are used: a command needs those of one subject."""
    if name != "Store":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from supatoss.store.calls import Store  # noqa: PLC0415 - see above

    return Store
