"""What the service can be asked: each call on a job is made to CVAT with the caller's own session first."""

import re
from collections.abc import Callable
from functools import cached_property
from importlib import resources

from siaf.cvat.job.clip import open_job
from siaf.cvat.server.connection import Server
from siaf.cvat.service.board import Board, Full, NoRound, Taken
from siaf.cvat.service.http import ApiError, Reply, Request, as_api_error, check_came_from_site
from siaf.cvat.service.metrics import Metrics
from siaf.cvat.service.site import Caller, Site
from siaf.cvat.service.wishes import Wish
from siaf.cvat.storage.store import StateStore
from siaf.errors import SiafError

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_PRIVATE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
Call = Callable[["Calls", Request, int], Reply]


class Calls:
    """The table of calls."""

    def __init__(self, site: Site, store: StateStore, board: Board, metrics: Metrics) -> None:
        self._site, self._store, self._board, self._metrics = site, store, board, metrics

    def answer(self, request: Request) -> Reply:
        """Any request; never raises."""
        name = "unknown"
        try:
            name, call, job = self._find(request)
            reply = call(self, request, job)
        except ApiError as error:
            reply = error.reply()
        except SiafError as error:
            reply = as_api_error(error).reply()
        self._metrics.answered(name, reply.status)
        return Reply(reply.body, reply.status, reply.kind, {**_PRIVATE, **reply.headers})

    def _find(self, request: Request) -> tuple[str, Call, int]:
        allowed = []
        for method, pattern, name, call in _TABLE:
            match = re.fullmatch(pattern, request.path)
            if match is None:
                continue
            allowed.append(method)
            if method == request.method:
                return name, call, int(match[1]) if match.groups() else 0
        if allowed:
            raise ApiError(405, "method", f"{' and '.join(allowed)} only", "method")
        raise ApiError(404, "not_found", "there is no such call", "path")

    # -- open to all ----------------------------------------------------------------------------------------------

    def plugin(self, request: Request, _: int) -> Reply:
        """The script for CVAT's pages."""
        return Reply(self._script, kind="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"})

    @cached_property
    def _script(self) -> bytes:
        return (resources.files("siaf.cvat.service") / "plugin.js").read_bytes()

    def live(self, request: Request, _: int) -> Reply:
        """That this process answers."""
        return Reply({"live": True})

    def ready(self, request: Request, _: int) -> Reply:
        """That CVAT answers too."""
        server = Caller("", "", "").server(self._site)
        try:
            server.call(server.api.server_api.retrieve_about, what="host")
        except SiafError as error:
            raise ApiError(503, "cvat", str(error)) from None
        return Reply({"ready": True})

    def metrics(self, request: Request, _: int) -> Reply:
        """For Prometheus."""
        return Reply(self._metrics.render(), kind=_TEXT)

    # -- on a job -------------------------------------------------------------------------------------------------

    def start(self, request: Request, job: int) -> Reply:
        """Ask for a round, or for what is done about rounds."""
        server = self._writing(request, job)
        wish = Wish.read(request.json())
        user = server.call(server.api.users_api.retrieve_self, what="user")
        try:
            asked = self._board.ask(server, job, str((user or {}).get("username", "somebody")), wish)
        except Taken as taken:
            raise ApiError(409, "taken", str(taken), f"job {job}", round=taken.round.as_json()) from None
        except Full as full:
            raise ApiError(503, "full", f"{full}; ask again later") from None
        return Reply(asked.as_json(), 202)

    def current(self, request: Request, job: int) -> Reply:
        """How the job's round stands."""
        self._reading(request, job)
        found = self._board.current(job)
        if found is None:
            raise ApiError(404, "not_found", "nobody has asked for a round here", f"job {job}")
        return Reply(found.as_json())

    def cancel(self, request: Request, job: int) -> Reply:
        """Stop it."""
        self._writing(request, job)
        try:
            return Reply(self._board.cancel(job).as_json(), 202)
        except NoRound as error:
            raise ApiError(404, "not_found", str(error), f"job {job}") from None

    def next_frame(self, request: Request, job: int) -> Reply:
        """The frames most worth a look after the last round, and which of them follows `after`; task frames."""
        after = request.query.get("after", "")
        if after and not (after.isascii() and after.isdigit() and len(after) < 10):
            raise ApiError(400, "bad_request", "must be the number of a frame", "after")
        clip = open_job(self._reading(request, job), job, to_write=False)
        ledger = self._store.job(self._site.origin, job).ledger()
        frames = [frame for frame in map(clip.to_task, ledger.suggest) if clip.shows(frame)]
        at = frames.index(int(after)) + 1 if after and int(after) in frames else 0
        frame = frames[at % len(frames)] if frames else None
        return Reply({"job": job, "round": ledger.round, "frames": frames, "frame": frame})

    # -- inside ---------------------------------------------------------------------------------------------------

    def _reading(self, request: Request, job: int) -> Server:
        """CVAT as the caller, who may see the job."""
        check_came_from_site(request, self._site)
        caller = Caller.of(request.headers, request.query.get("org"))
        if caller is None:
            raise ApiError(401, "login", "log in to CVAT", "cookie")
        server = caller.server(self._site)
        server.job(job)
        return server

    def _writing(self, request: Request, job: int) -> Server:
        """CVAT as the caller, who may change the job; CVAT checks the CSRF token on the way."""
        server = self._reading(request, job)
        server.check_may_write(job)
        return server


_TABLE: tuple[tuple[str, str, str, Call], ...] = (
    ("GET", "/siaf/plugin.js", "plugin", Calls.plugin),
    ("GET", "/siaf/health/live", "live", Calls.live),
    ("GET", "/siaf/health/ready", "ready", Calls.ready),
    ("GET", "/siaf/metrics", "metrics", Calls.metrics),
    ("POST", r"/siaf/jobs/([1-9][0-9]{0,8})/rounds", "start", Calls.start),
    ("GET", r"/siaf/jobs/([1-9][0-9]{0,8})/rounds/current", "current", Calls.current),
    ("DELETE", r"/siaf/jobs/([1-9][0-9]{0,8})/rounds/current", "cancel", Calls.cancel),
    ("GET", r"/siaf/jobs/([1-9][0-9]{0,8})/next", "next", Calls.next_frame),
)
