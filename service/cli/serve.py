"""`supatoss serve`: uvicorn with what this service needs of it."""

GRACE_SECONDS = 10
"""Time for answers in flight after SIGTERM: longer than the longest answer."""

KEEP_ALIVE_SECONDS = 65
"""Longer than the proxy before us keeps its connections, so that it never sends into a closing one."""


def serve() -> None:
    """Answer deliveries, like python -m service, until SIGTERM or Ctrl-C."""
    import uvicorn
    from prometheus_client import start_http_server

    from service.app import create_app, load_settings

    settings = load_settings()
    app = create_app(settings)
    if settings.metrics_port:
        start_http_server(settings.metrics_port, settings.host)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
