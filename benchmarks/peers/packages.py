"""The npm packages of the peers: installed into `.local/` when a peer that needs them is measured, and not before."""

from pathlib import Path

from scripts.local_stack import install


def install_peers() -> Path:
    """The folder node_modules with deno, supabase-js and stripe-sync-engine. StackError when npm fails."""
    return install(progress=print, source=Path(__file__).parent, name="bench-npm")
