"""Who may ask the studio: no page of another site, no other name for this address, and nobody without the token."""

import hmac
import ipaddress
import re
from collections.abc import Collection
from hashlib import sha256
from http import HTTPStatus

from function.http.messages import ApiError, Reply, Request

SAFE = ("GET", "HEAD")
OWN_HEADER = "x-siaf"
TAB_HEADER = "x-siaf-tab"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; worker-src 'self'; object-src 'none'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Of every answer: the page loads nothing from elsewhere, and no other page reads it or shows it in a frame."""


class Access:
    """The door. `names`: host names that the studio is reached by; `addresses`: so are bare addresses, which no foreign
    name can stand for. `token`: "" where anyone on this machine may ask.

    `port` names the cookie, as browsers share cookies between the ports of a host.
    """

    def __init__(self, names: Collection[str], token: str, port: int, *, addresses: bool = False) -> None:
        self._names = {name.lower() for name in names}
        self._addresses = addresses
        self._token = token
        self._cookie = f"siaf-studio-{port}"
        # What the browser keeps is not the token itself, and a studio that is started anew with it knows it again.
        self._secret = hmac.new(token.encode(), b"siaf studio cookie", sha256).hexdigest()

    def check_host(self, request: Request) -> None:
        """ApiError 421 for a name that is not ours: a foreign name may lead to this address, and its pages with it."""
        name = _host(request.header("host") or "")
        if name not in self._names and not (self._addresses and _is_address(name)):
            ours = " or ".join(sorted(self._names))
            raise ApiError(
                HTTPStatus.MISDIRECTED_REQUEST, "host", f"this is the studio of {ours} (--host-name adds names)", "host"
            )

    def check_call(self, request: Request) -> None:
        """Turn away calls that the page itself did not make. Raises ApiError 401 or 403.

        A page of another site can make a browser send requests here, with the cookie. But only scripts can set our
        header, and only for their own origin, as nothing here answers a preflight.
        """
        if (request.header("sec-fetch-site") or "none") not in ("same-origin", "none"):
            raise _forged("only the studio's own page may ask for this", "sec-fetch-site")
        if request.method not in SAFE:
            if request.header(OWN_HEADER) != "1":
                raise _forged("the header X-Siaf: 1 is missing", OWN_HEADER)
            host, origin = (request.header("host") or "").lower(), (request.header("origin") or "").lower()
            if origin not in (f"http://{host}", f"https://{host}"):
                raise _forged(f"only pages of {host} may ask for this", "origin")
            media = (request.header("content-type") or "").partition(";")[0].strip().lower()
            if media != "application/json":
                raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "media", "JSON is expected", "content-type")
        self.check_token(request)

    def check_token(self, request: Request) -> None:
        """ApiError 401 without the cookie."""
        if self._token and not hmac.compare_digest(self._kept(request).encode(), self._secret.encode()):
            raise ApiError(
                HTTPStatus.UNAUTHORIZED, "login", "open the link that the studio printed when it started", "cookie"
            )

    def log_in(self, token: str) -> Reply:
        """Swap the link's token for a cookie. ApiError 403 for a wrong one."""
        if self._token and not hmac.compare_digest(token.encode(), self._token.encode()):
            raise ApiError(HTTPStatus.FORBIDDEN, "token", "this link is of an earlier start of the studio", "token")
        # Without a path it counts for the page's own, whatever a proxy in front calls that.
        cookie = f"{self._cookie}={self._secret}; HttpOnly; SameSite=Strict"
        headers = {"Location": "./", "Cache-Control": "no-store", **({"Set-Cookie": cookie} if self._token else {})}
        return Reply("", HTTPStatus.SEE_OTHER, "text/plain", headers)

    def _kept(self, request: Request) -> str:
        # Other servers on this host leave cookies here that Python's own reader stops at.
        parts = (part.strip().partition("=") for part in (request.header("cookie") or "").split(";"))
        return next((value for name, _, value in parts if name == self._cookie), "")


def _host(netloc: str) -> str:
    """The name in a Host header, without its port."""
    return re.sub(r":[0-9]*$", "", netloc.strip().lower()).strip("[]")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _forged(message: str, field: str) -> ApiError:
    return ApiError(HTTPStatus.FORBIDDEN, "forged", message, field)
