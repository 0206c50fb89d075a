"""Why a service could not be reached, in words that name the setting with its address."""

import socket
import ssl
from collections.abc import Iterator

_CERTIFICATES = {
    9: "the certificate at {} is not valid yet: check this machine's clock",
    10: "the certificate at {} has expired",
    62: "the certificate at {} is for another host",
    64: "the certificate at {} is for another host",
}
"""By OpenSSL's X509_V_ERR code."""

_NOT_TRUSTED = "its certificate is not trusted: is a proxy before {}?"
_NO_TLS = "TLS failed: what listens at {} is no https service"
_NO_ADDRESS = "the host of {} has no address: check its spelling, and DNS"
_REFUSED = "nothing listens at {}: connection refused"

_KINDS = {
    "ConnectTimeout": "no connection to {} in time",
    "PoolTimeout": "no free connection to {}",
    "ReadTimeout": "{} took too long to answer",
    "TimeoutError": "{} took too long to answer",
    "WriteTimeout": "{} took too long to take the request",
    "ConnectError": "no connection to {}",
    "ReadError": "the connection to {} broke off",
    "WriteError": "the connection to {} broke off",
    "RemoteProtocolError": "what {} sent broke off, or is no HTTP",
    "DecodingError": "what {} sent can't be decompressed",
    "LocalProtocolError": "the request to {} can't be sent as it is",
    "UnsupportedProtocol": "{} is no http address",
    "CloseError": "the connection to {} broke off",
    "JSONDecodeError": "what {} sent is no JSON",
    "HTTPException": "what {} sent broke off, or is no HTTP",
    "ConnectionError": "the connection to {} broke off",
}
"""By the name of httpx's class, or Python's."""


def failure(error: Exception, setting: str) -> str:
    """The cause of an error of httpx or http.client, or its kind where the cause is not known.

    Never its text, which can hold a header: its attributes hold the request.
    """
    cause = next(filter(None, map(_cause, _chain(error))), None)
    kinds = (kind.__name__ for kind in type(error).__mro__)
    return (cause or next(filter(None, map(_KINDS.get, kinds)), "no answer from {}")).format(setting)


def _cause(error: BaseException) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return _CERTIFICATES.get(getattr(error, "verify_code", 0), _NOT_TRUSTED)
        case _ if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return _NOT_TRUSTED
        case ssl.SSLError():
            return _NO_TLS
        case socket.gaierror():
            return _NO_ADDRESS
        case ConnectionRefusedError():
            return _REFUSED
    return None


def _chain(error: BaseException | None, known: frozenset[int] = frozenset()) -> Iterator[BaseException]:
    """What an error was raised from, the first cause first; httpx and its transports wrap several times.

    `known`: those whose causes are being read. An error that is raised again from another can be its own cause.
    """
    if error is None or id(error) in known:
        return
    known |= {id(error)}
    yield from _chain(error.__cause__ or error.__context__, known)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _chain(inner, known)
    yield error
