"""A server whose certificate nobody trusts, as a proxy that opens TLS connections has one."""

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from scripts.local_stack import LOOPBACK

_MAKE = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out certificate.pem"


@contextmanager
def untrusted_server(folder: Path) -> Iterator[str]:
    """Its address, until the end of the block."""
    subprocess.run(_MAKE.split(), cwd=folder, check=True, capture_output=True, timeout=60)  # noqa: S603 - as it stands
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    server = HTTPServer((LOOPBACK, 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"https://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)
