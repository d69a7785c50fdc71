"""All calls of the function in one table."""

from collections.abc import Callable

from function.calls.health import MODEL, Health
from function.calls.sessions_api import Rounds
from function.http.contracts import INTERACTOR_REPLY, TRACKER_REPLY, CvatRequest
from function.http.messages import Reply, Request
from function.http.openapi import document, render
from function.http.routing import BINARY, TEXT, Route
from function.http.schemas import (
    DeleteReply,
    FrameReply,
    InfoReply,
    LimitsRequest,
    LiveReply,
    MissingReply,
    MissingRequest,
    ModelReply,
    OpenRequest,
    PropagateReply,
    PropagateRequest,
    ReadyReply,
    RevisionRequest,
    RoundReply,
    RoundRequest,
    SessionReply,
    StateReply,
)

Answer = Callable[[Request], Reply]


def make_routes(
    cvat: Answer, info: Answer, metrics: Answer, rounds: Rounds, health: Health, version: str
) -> list[Route]:
    """The table. Order matters only for the OpenAPI document."""
    one = "/v1/sessions/{session}"

    def openapi(request: Request) -> Reply:
        return Reply(render(document(routes, version)))

    routes = [
        Route(
            "POST",
            "/",
            "cvat",
            "CVAT's interactor (pos_points, neg_points, obj_bbox) and tracker (shapes, states) contracts",
            cvat,
            gives={"anyOf": [INTERACTOR_REPLY, TRACKER_REPLY]},
            takes=CvatRequest,
            open=True,
            also=(404, 409, 415),
        ),
        Route("GET", "/v1/info", "info", "Who answers, and its limits", info, gives=InfoReply, open=True),
        Route("GET", "/v1/openapi.json", "openapi", "This document", openapi, gives={"type": "object"}, open=True),
        Route("GET", "/v2/health/live", "live", "Whether it runs", health.live, gives=LiveReply, open=True),
        Route("GET", "/v2/health/ready", "ready", "Whether it can work", health.ready, gives=ReadyReply, open=True),
        Route(
            "GET",
            f"/v2/models/{MODEL}",
            "model",
            "The model, in the words of the Open Inference Protocol",
            health.model,
            gives=ModelReply,
            open=True,
        ),
        Route("GET", "/v1/metrics", "metrics", "Counters and timings for Prometheus", metrics, gives=TEXT),
        Route(
            "POST",
            "/v1/sessions",
            "open_session",
            "Open a session for a video",
            rounds.open,
            gives=SessionReply,
            takes=OpenRequest,
            status=201,
        ),
        Route("GET", one, "show_session", "How a session stands", rounds.show, gives=SessionReply),
        Route("DELETE", one, "delete_session", "Forget a session", rounds.delete, gives=DeleteReply),
        Route(
            "POST",
            one + "/frames/missing",
            "missing_frames",
            "Which frames must still be uploaded",
            rounds.missing,
            gives=MissingReply,
            takes=MissingRequest,
            also=(409,),
        ),
        Route(
            "PUT",
            one + "/frames/{frame}",
            "put_frame",
            "Upload a frame: the bytes of a JPEG, PNG, WebP, BMP, TIFF or GIF",
            rounds.put_frame,
            gives=FrameReply,
            takes=BINARY,
            also=(409, 415),
        ),
        Route(
            "POST",
            one + "/rounds",
            "round",
            "One round of scribbles and human masks on several frames",
            rounds.round,
            gives=RoundReply,
            takes=RoundRequest,
            also=(409,),
        ),
        Route(
            "POST",
            one + "/propagate",
            "propagate",
            "Fill the other frames, for at most a time budget",
            rounds.propagate,
            gives=PropagateReply,
            takes=PropagateRequest,
            also=(409,),
        ),
        Route(
            "PUT",
            one + "/limits",
            "set_limits",
            "Where masks are propagated, and what nothing crosses",
            rounds.set_limits,
            gives=SessionReply,
            takes=LimitsRequest,
            also=(409,),
        ),
        Route(
            "POST",
            one + "/undo",
            "undo",
            "Take back the last round",
            rounds.undo,
            gives=SessionReply,
            takes=RevisionRequest,
            also=(409,),
        ),
        Route(
            "DELETE",
            one + "/objects/{tag}",
            "remove_object",
            "Remove an object from all frames",
            rounds.remove_object,
            gives=SessionReply,
            also=(409,),
        ),
        Route("GET", one + "/state", "get_state", "The session as one .siaf file", rounds.get_state, gives=BINARY),
        Route(
            "PUT",
            one + "/state",
            "put_state",
            "Restore a session of the same video, or inherit objects and memory from another one's",
            rounds.put_state,
            gives=StateReply,
            takes=BINARY,
            also=(409,),
        ),
    ]
    return routes
