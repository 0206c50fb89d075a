"""GET /metrics on the service's own port, for whoever has the token. METRICS_PORT needs none: that port is private."""

import hmac

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


def metrics_routes(token: SecretStr | None) -> list[Route]:
    """The route of /metrics; none without a token, so that it is never public by mistake."""
    if token is None:
        return []
    expected = f"Bearer {token.get_secret_value()}".encode("latin-1")

    async def metrics(request: Request) -> Response:
        given = request.headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, expected):
            return PlainTextResponse("METRICS_TOKEN is needed", 401, {"www-authenticate": "Bearer"})
        return Response(generate_latest(), headers={"cache-control": "no-store"}, media_type=CONTENT_TYPE_LATEST)

    return [Route("/metrics", metrics, methods=["GET"])]
