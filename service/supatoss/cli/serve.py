"""`supatoss serve`: uvicorn with what this service needs of it."""

import gc

KEEP_ALIVE_SECONDS = 65
"""Longer than the proxy before us keeps its connections, so that it never sends into a closing one."""

GC_THRESHOLD = 10_000
"""New objects between two collections, instead of 700: a burst of deliveries has thousands alive, and no cycles."""


def serve() -> None:
    """Answer deliveries until SIGTERM or Ctrl-C; a second one does not wait for answers."""
    import uvicorn
    from prometheus_client import start_http_server

    from supatoss.app import create_app, load_settings
    from supatoss.cli.gate import Gate
    from supatoss.cli.server import CLOSE_SECONDS, Server

    settings = load_settings()
    gate = Gate(create_app(settings))
    # What was imported stays: the collector need not look at it again and again while deliveries come.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.host)
    config = uvicorn.Config(
        gate,
        host=settings.host,
        port=settings.port,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # CLIENT_IP_HEADER says whom to believe
        timeout_graceful_shutdown=CLOSE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    Server(config, gate).run()
