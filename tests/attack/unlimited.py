"""`supatoss serve` with uvicorn's own protocol instead of ours: attacks do damage then, which has to be seen."""

import runpy
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from supatoss import protocol
from tests.attack.server.target import START

UNLIMITED = START.replace("'supatoss', run_name", "'tests.attack.unlimited', run_name")


class Unlimited(HttpToolsProtocol):
    """No limit of connections, heads, bodies, or time."""

    def __init__(self, *arguments: Any, connections: object, **more: Any) -> None:
        super().__init__(*arguments, **more)


if __name__ == "__main__":
    protocol.BoundedProtocol = Unlimited  # type: ignore[misc, assignment]
    runpy.run_module("supatoss", run_name="__main__", alter_sys=True)
