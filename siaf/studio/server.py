"""The parts of a studio put together, on an address."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import uvicorn

from function.http.asgi import check_address, is_loopback
from siaf.studio.access import Access
from siaf.studio.app import App
from siaf.studio.rooms import Rooms

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ANYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Door:
    """An address to listen on, the names it is reached by, and the token that opens it ("": none is needed)."""

    host: str
    port: int
    names: tuple[str, ...]
    token: str

    @classmethod
    def on(cls, host: str, port: int, token: str, names: Sequence[str], *, field: str) -> "Door":
        """An address that is free; port 0 is one that is. Raises InputError naming `field`."""
        check_address(host, port, field)
        port = port or _free_port(host)
        own = socket.gethostname() if host in _ANYWHERE else host
        here = _LOOPBACK if host in _ANYWHERE or is_loopback(host) else ()
        return cls(host, port, tuple(dict.fromkeys((*names, own, *here))), token)

    @property
    def access(self) -> Access:
        """Who may come in."""
        return Access(self.names, self.token, self.port, addresses=self.host in _ANYWHERE)

    @property
    def link(self) -> str:
        """What to open in a browser."""
        name = self.names[0]
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/" + (f"?token={quote(self.token)}" if self.token else "")


def make_server(rooms: Rooms, door: Door) -> uvicorn.Server:
    """A studio that is still to be run; once it ends, what it has open is saved and closed."""
    return uvicorn.Server(
        uvicorn.Config(
            App(rooms, door.access),
            host=door.host,
            port=door.port,
            log_level="warning",
            access_log=False,  # paths may hold the token
            server_header=False,
            timeout_graceful_shutdown=5,
        )
    )


def _free_port(host: str) -> int:
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return int(probe.getsockname()[1])
