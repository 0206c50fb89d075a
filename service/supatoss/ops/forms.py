"""Reads the small forms of the page."""

from urllib.parse import parse_qsl

from starlette.requests import Request

MAX_FORM_BYTES = 16 * 1024
"""The longest form is a reason of 500 Korean characters, percent-encoded: 4,500 bytes."""

MAX_FIELDS = 20
FORM_TYPE = "application/x-www-form-urlencoded"


class NotAForm(Exception):
    """What was sent is not one of our forms."""


async def read_form(request: Request) -> dict[str, str]:
    """Fields of a form, the last of each name. Raises NotAForm."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM_TYPE:
        raise NotAForm
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM_BYTES:
            raise NotAForm
    try:
        return dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=MAX_FIELDS)
        )
    except ValueError:
        raise NotAForm from None
