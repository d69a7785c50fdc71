"""The function without its surroundings: requests in, replies out, never an exception."""

import hmac
import time
import traceback
from contextlib import nullcontext
from http import HTTPStatus
from typing import Protocol
from uuid import uuid4

import numpy as np

from function.calls.health import Health
from function.calls.interactor import Interactor
from function.calls.sessions_api import Rounds
from function.calls.tracker import TrackerCalls
from function.http.messages import ApiError, Busy, Reply, Request, as_api_error, bad_request, check_parts, too_large
from function.http.routing import Route, find
from function.http.schemas import InfoReply, Limits
from function.routes import make_routes
from function.runtime.idle import Idle
from function.runtime.metrics import Metrics
from function.runtime.timing import traced
from function.settings import PREFIX, Settings, SettingsError
from function.state.sessions import Sessions
from function.store import Store, Unavailable, open_store
from siaf import Scribble, Session, load_model
from siaf.engines.base import Engine
from siaf.errors import InputError, OutOfMemory, SiafError, StateError
from siaf.session.feature_cache import FeatureCache
from siaf.version import siaf_version

_WARM_SIZE = (48, 64)


class Log(Protocol):
    """What Nuclio's logger can do, as far as it is used here."""

    def info_with(self, message: str, *args: object, **kwargs: object) -> None:
        """A line with fields."""

    def error_with(self, message: str, *args: object, **kwargs: object) -> None:
        """A line with fields, at level error."""


class Service:
    """Model, store and all calls."""

    def __init__(self, model: Engine, store: Store, settings: Settings) -> None:
        self.model, self._store, self._settings = model, store, settings
        folder, on_disk = settings.feature_folder, settings.feature_disk_bytes
        self._features = FeatureCache(settings.feature_bytes, folder=folder, max_disk_bytes=on_disk)
        self._idle = Idle() if settings.encode_ahead else None
        self._sessions = Sessions(model, store, settings, self._features, self._idle)
        self._interactor = Interactor(self._sessions, settings)
        self._tracker = TrackerCalls(model, store, settings, self._features)
        self._rounds = Rounds(self._sessions, settings)
        self._metrics = Metrics()
        self._token = settings.token.get_secret_value() if settings.token else ""
        self.health = Health(store)
        self.routes = make_routes(
            self._cvat, self._info, self._render_metrics, self._rounds, self.health, siaf_version()
        )

    @classmethod
    def start(cls, settings: Settings) -> "Service":
        """Load and warm the model, open the store. Raises SiafError for settings that cannot be met."""
        model = _load(settings)
        try:
            store = open_store(settings.store, settings.store_bytes)
        except Unavailable as error:
            raise SettingsError(f"SIAF_STORE: {error}") from None
        try:
            service = cls(model, store, settings)
        except OSError as error:
            raise SettingsError(f"SIAF_FEATURE_FOLDER: {error}") from None
        service._warm_up()
        return service

    def answer(self, request: Request, log: Log) -> Reply:
        """The reply to a request, whatever it is. One log line."""
        request_id = _printable(request.header("X-Request-Id") or "") or request.id or uuid4().hex
        start = time.perf_counter()
        call, parts = "none", dict[str, str]()
        with traced() as trace, self._idle.interrupted() if self._idle else nullcontext():
            try:
                self._check_size(request)
                route, parts = find(self.routes, request)
                call = route.name
                self._authorise(route, request)
                reply = route.answer(request, **parts)
            except Exception as error:
                reply = self._failure(error, request_id, log)
        seconds = time.perf_counter() - start
        self._metrics.count(call, reply.status, seconds, trace.phases)
        log.info_with(
            "request",
            id=request_id,
            call=call,
            status=reply.status,
            session=_shortened(parts.get("session") or trace.session),
            ms=round(seconds * 1e3, 1),
            **{f"{name}_ms": round(part * 1e3, 1) for name, part in trace.phases.items()},
        )
        return Reply(reply.body, reply.status, reply.content_type, {**reply.headers, "X-Request-Id": request_id})

    # -- calls ----------------------------------------------------------------------------------------------------

    def _cvat(self, request: Request) -> Reply:
        body = request.json()
        if not isinstance(body, dict):
            raise bad_request("a JSON object is expected", "body")
        if body.get("shapes") is not None or body.get("states") is not None:
            return self._tracker.answer(request)
        if any(key in body for key in ("pos_points", "neg_points", "obj_bbox")):
            self._rounds.clicked()
            return self._interactor.answer(request)
        raise bad_request("neither an interactor's pos_points nor a tracker's shapes", "pos_points")

    def _info(self, request: Request) -> Reply:
        settings, model = self._settings, self.model
        info = InfoReply(
            name="siaf",
            version=siaf_version(),
            model=model.name,
            weights=model.digest,
            device=str(model.device),
            short_side=model.short_side,
            interaction_short_side=model.interaction_short_side,
            autocast=model.autocast,
            objects_per_pass=model.objects_per_pass,
            limits=Limits(
                max_body_bytes=settings.max_body_bytes,
                max_pixels=settings.max_pixels,
                max_frames=settings.max_frames,
                max_points=settings.max_points,
                max_budget_s=settings.max_budget_s,
                session_ttl_s=settings.session_ttl,
            ),
        )
        return Reply(info.model_dump_json())

    def _render_metrics(self, request: Request) -> Reply:
        text = self._metrics.render(feature_bytes=self._features.bytes, live_sessions=self._sessions.live_count)
        return Reply(text, content_type="text/plain; version=0.0.4; charset=utf-8")

    # -- inside ---------------------------------------------------------------------------------------------------

    def _check_size(self, request: Request) -> None:
        size = request.size if request.size is not None else 0
        if size > self._settings.max_body_bytes:
            raise too_large(f"{size} bytes, at most {self._settings.max_body_bytes}", "body")
        if request.method.upper() == "POST" and isinstance(request.body, bytes):
            check_parts(request.body, self._settings.max_parts)

    def _authorise(self, route: Route, request: Request) -> None:
        if route.open or not self._token:
            return
        given = request.header("Authorization") or ""
        if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise ApiError(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "send the token as Authorization: Bearer",
                "Authorization",
                {"WWW-Authenticate": "Bearer"},
            )

    def _failure(self, error: Exception, request_id: str, log: Log) -> Reply:
        if isinstance(error, Unavailable):
            log.error_with("the store is unavailable", id=request_id, error=str(error))
            return Busy("the session store is unavailable").reply()
        known = as_api_error(error)
        if known is None and _out_of_memory(error):
            log.error_with("out of memory", id=request_id, error=str(error))
            known = Busy("out of memory")
        if known is not None:
            return known.reply()
        log.error_with("a bug", id=request_id, error=str(error), traceback="".join(traceback.format_exception(error)))
        return ApiError(
            HTTPStatus.INTERNAL_SERVER_ERROR, "internal", f"internal error, see the log for {request_id}"
        ).reply()

    def _warm_up(self) -> None:
        """The first passes of a network are slow (memory, kernels): they happen here, not at somebody's click."""
        height, width = (max(side, self.model.short_side) for side in _WARM_SIZE)
        pictures = [np.zeros((height, width, 3), np.uint8)] * 2
        session = Session(self.model, pictures)
        session.interact({0: [Scribble(1, np.array([[8.0, 8.0], [24.0, 24.0]]))]})
        for _ in session.propagate():
            pass


def _shortened(session: str | None) -> str | None:
    """Enough of a session's id to find its lines by; whoever has all of it, and the token, has the session."""
    return None if session is None else _printable(session)[:8]


def _printable(text: str) -> str:
    """A caller's own request id, as far as it may go into logs and headers."""
    return "".join(c for c in text if c.isascii() and c.isprintable())[:100]


def _load(settings: Settings) -> Engine:
    try:
        loaded = load_model(settings.model, device=settings.device, weights=settings.weights)
        return loaded.adjusted(settings.short_side, settings.interaction_short_side, settings.autocast)
    except StateError as error:
        raise SettingsError(f"{PREFIX}WEIGHTS: {error}") from None
    except InputError as error:
        raise SettingsError(f"{PREFIX}{error.field.upper()}: {error.message}") from None
    except SiafError as error:  # what the model needs is not installed
        raise SettingsError(f"{PREFIX}MODEL: {error}") from None
    except (RuntimeError, AssertionError) as error:  # what torch says of a device that there is not
        raise SettingsError(f"SIAF_DEVICE: {str(error).splitlines()[0]}") from None


def _out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, MemoryError | OutOfMemory | torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "not enough memory" in str(error)
    )
