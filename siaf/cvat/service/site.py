"""CVAT's site as browsers see it, and calls to CVAT as the person whose browser asks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3
from cvat_sdk.core.client import Client, Config

from siaf.cvat.server.connection import Server
from siaf.errors import InputError

_COOKIE = re.compile(r"[\w-]{1,200}")
_ORGANIZATION = re.compile(r"[\w-]{0,100}", re.ASCII)


@dataclass(frozen=True)
class Site:
    """`origin`: what browsers have in their address bar, "https://cvat.example.com"; `host`: where this process reaches
    the same CVAT; `insecure`: its certificate is not checked.
    """

    origin: str
    host: str
    insecure: bool = False

    @classmethod
    def parse(cls, address: str, host: str | None = None, *, insecure: bool = False) -> "Site":
        """From addresses of the command line; `host` None = the address itself. Raises InputError naming "site"."""
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise InputError(f"{address!r} is not like https://cvat.example.com", field="site")
        standard = {"http": 80, "https": 443}[parts.scheme]
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        try:
            port = parts.port
        except ValueError as error:
            raise InputError(f"{address!r} has no usable port ({error})", field="site") from None
        origin = f"{parts.scheme}://{name}" + (f":{port}" if port not in (None, standard) else "")
        return cls(origin, host or address, insecure)

    @property
    def netloc(self) -> str:
        """What browsers send as Host."""
        return urlsplit(self.origin).netloc

    @property
    def scheme(self) -> str:
        """http or https."""
        return urlsplit(self.origin).scheme


@dataclass(frozen=True)
class Caller:
    """Somebody's CVAT session: the cookies that their browser sent, and the token that a page of the site read.

    Lives in memory only, as long as a round of theirs.
    """

    session: str
    csrf_cookie: str
    csrf: str
    organization: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str], organization: str | None = None) -> "Caller | None":
        """From a request's headers, names in lower case; None if there is no session in them.

        Raises InputError naming "org".
        """
        parts = (part.partition("=") for part in headers.get("cookie", "").split(";"))
        cookies = {name.strip(): value.strip() for name, _, value in parts}
        session, token = cookies.get("sessionid", ""), cookies.get("csrftoken", "")
        csrf = headers.get("x-csrftoken", "")
        if not _COOKIE.fullmatch(session) or any(text and not _COOKIE.fullmatch(text) for text in (token, csrf)):
            return None
        if organization is not None and not _ORGANIZATION.fullmatch(organization):
            raise InputError("is not an organization's short name", field="org")
        return cls(session, token, csrf, organization)

    def server(self, site: Site) -> Server:
        """CVAT as this person: it gets the session's cookies and what else the browser would send, and decides."""
        client = Client(site.host, config=Config(verify_ssl=not site.insecure), check_server_version=False)
        api = client.api_client
        api.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(0, redirect=0)
        api.cookies["sessionid"] = self.session
        if self.csrf_cookie:
            api.cookies["csrftoken"] = self.csrf_cookie
        if self.csrf:
            api.configuration.api_key["csrfHeaderAuth"] = self.csrf
        api.default_headers.update(
            {
                "Host": site.netloc,
                "Origin": site.origin,
                "Referer": f"{site.origin}/",
                "X-Forwarded-Host": site.netloc,
                "X-Forwarded-Proto": site.scheme,
            }
        )
        if self.organization is not None:
            client.organization_slug = self.organization
        return Server(client)
