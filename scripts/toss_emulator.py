"""Emulates Toss Payments on this machine: its API and its webhooks, with /emulator/ to play scenarios.

For a shop's page, /v2/standard is the SDK that opens the payment window, and /window/accounts pays issued accounts.

    python scripts/toss_emulator.py --secret-key test_sk_emulator --webhook-url http://127.0.0.1:8080/webhooks/toss

Everything is in memory, unless --state names a file. See `--help` for the options and scripts/emulator/ for the parts.
"""

import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import uvicorn

if __package__ in (None, ""):  # run as a file: make the checkout importable
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.emulator.app import Emulator
from scripts.emulator.options import Options, read_options

GRACE_SECONDS = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C (0); 1 if the port is not available, 2 for wrong arguments."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)  # uvicorn raises the signal again once it has stopped
    try:
        options = read_options(arguments)
        try:
            listener = _listen(options.host, options.port)
        except OSError as error:
            print(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}", file=sys.stderr)
            return 1
        with listener:
            _serve(options, listener)
    except KeyboardInterrupt:
        pass
    return 0


def _serve(options: Options, listener: socket.socket) -> None:
    config = uvicorn.Config(
        Emulator(options).app,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"Toss emulator on http://{host}:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """Listens before the address is printed, so that the printed line is true and connections queue."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
