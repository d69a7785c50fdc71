"""What the calls of the CVAT stand-in share: its world, who may see what, pages, notes of what changed."""

import hashlib
import hmac
import json
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from standin_annotations import Refused
from standin_forms import job_form, user_form
from standin_http import Answer, HttpSide, Request
from standin_lambda import Function
from standin_world import Job, Task, World

Json = dict[str, Any]
Routes = list[tuple[str, str, Callable[..., Answer]]]
"""Methods, pattern of the path, and what answers."""
FORBIDDEN = {"detail": "You do not have permission to perform this action."}


class Cvat(HttpSide):
    """The server without its calls, which are functions that are given it."""

    def __init__(self, respond: Callable[[Request], Answer]) -> None:
        self.world = World()
        self.functions: dict[str, Function] = {}
        self.uploads: dict[int, list[tuple[str, bytes]]] = {}
        super().__init__(respond)

    def open_job(self, request: Request, number: int) -> Job:
        """A job as far as the user may see or change it."""
        job = self.world.jobs.get(number)
        if job is None:
            raise Refused(404, {"detail": "No Job matches the given query."})
        may_see = request.user == "viewer" and request.method == "GET"
        if request.user not in ("admin", job.assignee) and not may_see:
            raise Refused(403, FORBIDDEN)
        return job

    def open_task(self, request: Request, number: int) -> Task:
        """A task, which only admins may see."""
        task = self.world.tasks.get(number)
        if task is None:
            raise Refused(404, {"detail": "No Task matches the given query."})
        if request.user != "admin":
            raise Refused(403, FORBIDDEN)
        return task

    def page(self, request: Request, results: list[Json]) -> Answer:
        """A page of a list, in the order given."""
        size, page = int(request.query.get("page_size", 10)), int(request.query.get("page", 1))
        query = "&".join(f"{k}={v}" for k, v in sorted(request.query.items()) if k != "page")
        more = f"{self.url}{request.path}?page={page + 1}&{query}" if page * size < len(results) else None
        shown = results[(page - 1) * size : page * size]
        return Answer(body={"count": len(results), "next": more, "previous": None, "results": shown})

    def job_changed(self, job: Job, user: str, before: Json) -> None:
        """Note a change of a job, and tell the webhooks."""
        before = {"updated_date": job.updated, **before}
        self.world.touch(job)
        form = job_form(self.world, self.url, job)
        for hook in self.world.webhooks.values():
            if "update:job" not in hook["events"] or hook["project_id"] != job.task.spec.get("project_id"):
                continue
            payload = {
                "event": "update:job",
                "webhook_id": hook["id"],
                "job": form,
                "sender": user_form(self.world, self.url, user),
                "before_update": before,
                "changes": {key: {"from": old, "to": form[key]} for key, old in before.items()},
            }
            threading.Thread(target=_deliver, args=(hook, payload), daemon=True).start()


def _deliver(hook: Json, payload: Json) -> None:
    body = json.dumps(payload).encode()
    mark = hmac.new(hook["secret"].encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Signature-256": f"sha256={mark}"}
    with suppress(OSError):  # CVAT notes a delivery that failed, and does not repeat it
        urllib.request.urlopen(urllib.request.Request(hook["target_url"], body, headers), timeout=10).close()
