"""What schemathesis loads: signs two requests of three, as their last bytes are."""

import zlib
from typing import Any

import schemathesis
from requests.auth import AuthBase

from supatoss.cli.sending import now_with_offset
from tests.support import signed_headers


class Signing(AuthBase):
    """Whether a request is signed depends on its body alone, so that a failure can be sent again."""

    def __call__(self, request: Any) -> Any:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else bytes(body)
        if request.method == "POST" and zlib.crc32(raw) % 3:
            request.headers.update(signed_headers(raw, sent_at=now_with_offset()))
            request.headers["content-length"] = str(len(raw))
        return request


schemathesis.auth.set_from_requests(Signing())
