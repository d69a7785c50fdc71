"""Browsers' sessions of the stand-in, with the rules that Django and its REST framework have for them."""

from standin_annotations import Refused
from standin_http import Request
from standin_world import Token, World


def sign_in(world: World, user: str) -> dict[str, str]:
    """A session of a user: its cookies by name."""
    session, csrf = f"session-{user}", f"csrf-of-{user}"
    world.tokens[session] = Token(user, csrf=csrf)
    return {"sessionid": session, "csrftoken": csrf}


def check_csrf(request: Request, token: Token) -> None:
    """Unsafe requests need the token twice, in the cookie and in the header, and no foreign Origin."""
    if request.method in ("GET", "HEAD"):
        return
    headers = request.headers
    host = headers.get("x-forwarded-host") or headers["host"]
    own = f"{headers.get('x-forwarded-proto', 'http')}://{host}"
    if headers.get("origin", own) != own:
        raise _failed(f"Origin checking failed - {headers['origin']} does not match any trusted origins.")
    cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
    if not cookies.get("csrftoken"):
        raise _failed("CSRF cookie not set.")
    if not headers.get("x-csrftoken"):
        raise _failed("CSRF token missing.")
    if not headers["x-csrftoken"] == cookies["csrftoken"] == token.csrf:
        raise _failed("CSRF token from the 'X-Csrftoken' HTTP header incorrect.")


def _failed(why: str) -> Refused:
    return Refused(403, {"detail": f"CSRF Failed: {why}"})
