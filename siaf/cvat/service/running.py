"""One round by `JobSync`, with progress and a way to stop it."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from siaf.cvat.job.frames import JobFrames
from siaf.cvat.rounds.control import JobControl
from siaf.cvat.rounds.control_report import ControlReport
from siaf.cvat.rounds.questions import Unanswered
from siaf.cvat.rounds.report import SyncReport
from siaf.cvat.rounds.sync import JobSync, NothingDrawn, SyncOptions
from siaf.cvat.server.connection import Refusal, Server
from siaf.cvat.server.faults import ServerFault
from siaf.cvat.service.round import STOPPED, Round
from siaf.cvat.service.wishes import Wish
from siaf.cvat.storage.store import JobStore
from siaf.errors import Busy, InputError, SiafError

if TYPE_CHECKING:
    from siaf.cvat.service.board import Replica
    from siaf.cvat.sessions.base import JobSession

_AGAIN = "ask again: it goes on where it was"
log = logging.getLogger("siaf.cvat.service")


class Stopped(BaseException):
    """Somebody wants the round to end. As Ctrl-C is, so that nothing on the way takes it for a failure."""


def run_round(
    asked: Round,
    server: Server,
    jobs: JobStore,
    replica: "Replica",
    options: SyncOptions,
    wish: Wish,
    *,
    closing: Callable[[], bool],
) -> None:
    """Run it to its end, whatever that is; `closing` tells a stop of the service from a cancelled round."""

    def look() -> None:
        if asked.stop.is_set():
            raise Stopped

    def progress(done: int, total: int) -> None:
        asked.progress(done, total)
        look()

    def opened(frames: JobFrames, state: bytes | None, memo: dict[str, str], digests: dict[int, str]) -> "JobSession":
        look()
        asked.placing()
        return replica(server)(frames, state, memo, digests)

    try:
        look()
        report: SyncReport | ControlReport
        if wish.control is None:
            wanted = replace(options, yes=wish.yes, progress=progress, frames=wish.frames, barriers=wish.barriers)
            report = JobSync(server, asked.job, jobs, opened, wanted).run()
        else:
            asked.changing()
            report = JobControl(server, asked.job, jobs).run(wish.control)
    except Stopped:
        if closing():
            asked.end("interrupted", STOPPED)
        else:
            asked.end("cancelled", f"cancelled at {asked.percent} %: what is done is kept, the next round goes on")
    except SiafError as error:
        asked.error = _told(error)
        asked.end("failed", str(asked.error["message"]))
    except Exception as error:  # a bug on one job must not end the service for all others
        log.exception("job %s: %s", asked.job, error)
        asked.error = {"code": "bug", "message": f"{type(error).__name__}: see the service's log", "field": None}
        asked.end("failed", str(asked.error["message"]))
    else:
        asked.report, asked.lines = report.as_json(), report.lines()
        asked.end("done", "done")


def _told(error: SiafError) -> dict[str, Any]:
    """Why a round failed, with a code for machines."""
    field = error.field if isinstance(error, InputError) else None
    told: dict[str, Any] = {"code": "impossible", "message": str(error), "field": field}
    if isinstance(error, Unanswered):
        told |= {"code": "questions", "questions": error.questions}
    elif isinstance(error, NothingDrawn):
        told["code"] = "nothing_drawn"
    elif isinstance(error, Refusal):
        told["code"] = "refused"
        if error.status == 401:
            told["message"] = f"CVAT does not know this session any more: log in, then {_AGAIN}"
    elif isinstance(error, Busy):
        told["code"] = "busy"
    elif isinstance(error, ServerFault):
        told |= {"code": "fault", "message": f"{error}; {_AGAIN}"}
    return told
