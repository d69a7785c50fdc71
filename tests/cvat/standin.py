"""A CVAT server on localhost for tests: answers as the recordings of a 2.73.0 server do (tests/cvat/data).

It is driven through the real cvat-sdk client. Only what siaf.cvat and its tests use is there; all else is 404.
"""

import re

import standin_extras
import standin_jobs
import standin_tasks
from standin_annotations import Refused
from standin_cvat import FORBIDDEN, Cvat
from standin_http import Answer, Request
from standin_sessions import check_csrf

_ANONYMOUS = {"detail": "Authentication credentials were not provided."}


class StandIn(Cvat):
    """The server. `world` may be changed by a test; `functions` are what its Nuclio has deployed."""

    def __init__(self) -> None:
        super().__init__(self._respond)

    def _respond(self, request: Request) -> Answer:
        try:
            for method, pattern, action in _ROUTES:
                match = re.fullmatch(pattern, request.path)
                if match and method == request.method:
                    if pattern not in _OPEN:
                        self._authenticate(request)
                    return action(self, request, *(int(g) if g.isdigit() else g for g in match.groups()))
        except Refused as refused:
            return Answer(refused.status, refused.body)
        return Answer(404, {"detail": "Not found."})

    def _authenticate(self, request: Request) -> None:
        header = request.headers.get("authorization", "")
        session = re.search(r"sessionid=([\w-]+)", request.headers.get("cookie", ""))
        if not header and not session:
            raise Refused(401, _ANONYMOUS)
        token = self.world.tokens.get(session.group(1) if session and not header else header.split()[-1])
        if token is None or token.expired:
            raise Refused(401, {"detail": "Invalid token."})
        request.user = token.user
        if session and not header:
            check_csrf(request, token)
        if token.read_only and request.method != "GET":
            raise Refused(403, FORBIDDEN)


_OPEN = {"/api/server/about", "/api/auth/login"}
_ROUTES = [
    (method, pattern, action)
    for methods, pattern, action in (*standin_tasks.ROUTES, *standin_jobs.ROUTES, *standin_extras.ROUTES)
    for method in methods.split()
]
