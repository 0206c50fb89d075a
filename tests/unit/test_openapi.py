"""docs/openapi.yaml against the routes and the errors of the code."""

from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from starlette.routing import Route

from supatoss import errors
from tests.support import FIXTURES
from tests.unit.fakes import Service

DOCUMENT: dict[str, Any] = yaml.safe_load((FIXTURES.parents[1] / "docs/openapi.yaml").read_text(encoding="utf-8"))
WEBHOOK = DOCUMENT["paths"]["/webhooks/toss"]["post"]


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a $ref stands for."""
    found = DOCUMENT
    for name in part.get("$ref", "").split("/")[1:]:
        found = found[name]
    return found if "$ref" in part else part


def test_it_has_every_route_but_the_pages_of_operators() -> None:
    routes = Service(metrics_token="a-token-of-16-characters", ops_password="a phrase for tests").app.routes
    found = {
        (route.path, method.lower())
        for route in routes
        if isinstance(route, Route) and not route.path.startswith("/ops") and not route.path.endswith("/")
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert found == {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}


def test_the_webhook_answers_with_the_statuses_of_the_errors() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.DeliveryError) and kind is not errors.DeliveryError
    ]
    assert {int(status) for status in WEBHOOK["responses"]} == {200, 503} | {kind.http_status for kind in kinds}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("raw", "headers", "status"), [(b"", {}, 401), (b"x" * 300_000, {}, 413)], ids=["not genuine", "too large"]
)
async def test_an_answer_has_the_form_that_it_says(
    service: Service, raw: bytes, headers: dict[str, str], status: int
) -> None:
    response = await service.send(raw, headers)
    assert response.status_code == status
    (kind,) = resolved(WEBHOOK["responses"][str(status)])["content"].items()
    assert response.headers["content-type"].startswith(kind[0])
    schema = resolved(kind[1]["schema"])
    if "const" in schema:
        assert response.text == schema["const"]
    else:
        assert set(response.json()) == set(schema["required"]) == set(schema["properties"])
