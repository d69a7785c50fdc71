"""A CVAT server on localhost for tests: answers as the recordings of a 2.73.0 server do (tests/cvat/data).

It is driven through the real cvat-sdk client. Only what siaf.cvat and its tests use is there; all else is 404.
"""

import hashlib
import hmac
import json
import re
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from email.parser import BytesParser
from typing import Any

from standin_annotations import Refused
from standin_forms import (
    issue_form,
    job_form,
    meta_form,
    project_form,
    request_form,
    self_form,
    task_form,
    user_form,
    webhook_form,
)
from standin_http import Answer, HttpSide, Request
from standin_lambda import Function, call
from standin_sessions import check_csrf, sign_in
from standin_world import Job, Task, World

Json = dict[str, Any]

EVENTS = ("create:job", "update:job", "delete:job", "create:task", "update:task", "delete:task")
_FORBIDDEN = {"detail": "You do not have permission to perform this action."}
_ANONYMOUS = {"detail": "Authentication credentials were not provided."}


class StandIn(HttpSide):
    """The server. `world` may be changed by a test; `functions` are what its Nuclio has deployed."""

    def __init__(self) -> None:
        self.world = World()
        self.functions: dict[str, Function] = {}
        self._uploads: dict[int, list[tuple[str, bytes]]] = {}
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
            raise Refused(403, _FORBIDDEN)

    def _job(self, request: Request, number: int) -> Job:
        job = self.world.jobs.get(number)
        if job is None:
            raise Refused(404, {"detail": "No Job matches the given query."})
        may_see = request.user == "viewer" and request.method == "GET"
        if request.user not in ("admin", job.assignee) and not may_see:
            raise Refused(403, _FORBIDDEN)
        return job

    def _task(self, request: Request, number: int) -> Task:
        task = self.world.tasks.get(number)
        if task is None:
            raise Refused(404, {"detail": "No Task matches the given query."})
        if request.user != "admin":
            raise Refused(403, _FORBIDDEN)
        return task

    def _page(self, request: Request, results: list[Json]) -> Answer:
        size, page = int(request.query.get("page_size", 10)), int(request.query.get("page", 1))
        query = "&".join(f"{k}={v}" for k, v in sorted(request.query.items()) if k != "page")
        more = f"{self.url}{request.path}?page={page + 1}&{query}" if page * size < len(results) else None
        shown = results[(page - 1) * size : page * size]
        return Answer(body={"count": len(results), "next": more, "previous": None, "results": shown})

    # -- server, users, projects, tasks ---------------------------------------------------------------------------

    def about(self, request: Request) -> Answer:
        name = "Computer Vision Annotation Tool"
        return Answer(
            body={
                "name": name,
                "description": "",
                "version": self.world.version,
                "logo_url": "",
                "subtitle": "Open Data Annotation Platform",
            }
        )

    def log_in(self, request: Request) -> Answer:
        user = request.body["username"]
        if self.world.passwords.get(user) != request.body["password"]:
            raise Refused(400, {"non_field_errors": ["Unable to log in with provided credentials."]})
        cookies = [("Set-Cookie", f"{name}={value}; Path=/") for name, value in sign_in(self.world, user).items()]
        return Answer(body={"key": "x"}, headers=cookies)

    def users_self(self, request: Request) -> Answer:
        return Answer(body=self_form(self.world, self.url, str(request.user)))

    def create_project(self, request: Request) -> Answer:
        number = self.world.add_project(request.body)
        return Answer(201, project_form(self.world, self.url, number))

    def project(self, request: Request, number: int) -> Answer:
        if number not in self.world.projects:
            raise Refused(404, {"detail": "No Project matches the given query."})
        if request.method == "DELETE":
            for task in [t for t in self.world.tasks.values() if t.spec.get("project_id") == number]:
                self.world.drop_task(task)
            del self.world.projects[number]
            return Answer(204)
        if request.method == "PATCH":
            self.world.change_labels(request.body.get("labels", []), project=number)
        return Answer(body=project_form(self.world, self.url, number))

    def create_task(self, request: Request) -> Answer:
        return Answer(201, task_form(self.world, self.url, self.world.add_task(request.body)))

    def tasks(self, request: Request) -> Answer:
        project = request.query.get("project_id")
        chosen = [t for t in self.world.tasks.values() if project in (None, str(t.spec.get("project_id")))]
        return self._page(request, [task_form(self.world, self.url, task) for task in chosen])

    def task(self, request: Request, number: int) -> Answer:
        task = self._task(request, number)
        if request.method == "DELETE":
            self.world.drop_task(task)
            return Answer(204)
        if request.method == "PATCH" and request.body.get("labels"):
            if task.spec.get("project_id"):
                raise Refused(400, ["Labels cannot be set for a task in a project"])
            self.world.change_labels(request.body["labels"], task=number)
        return Answer(body=task_form(self.world, self.url, task))

    def create_guide(self, request: Request) -> Answer:
        """One for a project or a task, as the SDK's schemas have it."""
        owner = {"project_id": request.body.get("project_id"), "task_id": request.body.get("task_id")}
        if (owner["project_id"] is None) == (owner["task_id"] is None):
            raise Refused(400, {"non_field_errors": ["Exactly one of project_id or task_id must be provided"]})
        number = self.world.take("guide")
        self.world.guides[number] = {"id": number, "markdown": request.body.get("markdown", ""), **owner}
        return Answer(201, self.world.guides[number])

    def guide(self, request: Request, number: int) -> Answer:
        if number not in self.world.guides:
            raise Refused(404, {"detail": "No AnnotationGuide matches the given query."})
        if request.method == "PATCH":
            self.world.guides[number]["markdown"] = request.body["markdown"]
        return Answer(body=self.world.guides[number])

    def upload(self, request: Request, number: int) -> Answer:
        task = self._task(request, number)
        if "upload-start" in request.headers:
            self._uploads[number] = []
        elif "upload-multiple" in request.headers:
            self._uploads[number] += _multipart(request)
            return Answer(200)
        elif "upload-finish" in request.headers:
            self.world.add_data(task, self._uploads.pop(number), request.body)
        return Answer(202, {"rq_id": f"action=create&target=task&target_id={number}"})

    def background(self, request: Request, target: str) -> Answer:
        number = int(re.findall(r"target_id(?:=|%3D)(\d+)", target)[0])
        return Answer(body=request_form(self.world.tasks[number]))

    def labels(self, request: Request) -> Answer:
        chosen = {
            key: int(request.query[f"{key}_id"]) for key in ("project", "task", "job") if f"{key}_id" in request.query
        }
        return self._page(request, self.world.labels_of(**chosen))

    # -- jobs -----------------------------------------------------------------------------------------------------

    def jobs(self, request: Request) -> Answer:
        forms = [job_form(self.world, self.url, job) for job in self.world.jobs.values()]
        for key in ("task_id", "project_id", "state", "stage", "type"):
            if key in request.query:
                forms = [form for form in forms if str(form[key]) == request.query[key]]
        return self._page(request, sorted(forms, key=lambda f: f["id"], reverse=request.query.get("sort") != "id"))

    def create_job(self, request: Request) -> Answer:
        wanted = request.body
        task = self._task(request, wanted["task_id"])
        assert task.media is not None
        job = self.world.add_job(task, 0, task.media.size - 1, kind=wanted["type"], included=wanted["frames"])
        return Answer(201, job_form(self.world, self.url, job))

    def job(self, request: Request, number: int) -> Answer:
        job = self._job(request, number)
        if request.method == "PATCH":
            wanted = request.body
            if wanted.get("state", "new") not in ("new", "in progress", "completed", "rejected"):
                raise Refused(400, {"state": [f'"{wanted["state"]}" is not a valid choice.']})
            names = {number: name for name, number in self.world.users.items()}
            before = {key: getattr(job, key) for key in ("state", "stage") if key in wanted}
            job.state, job.stage = wanted.get("state", job.state), wanted.get("stage", job.stage)
            job.assignee = names.get(wanted.get("assignee"), job.assignee)
            self._changed(job, str(request.user), before)
        return Answer(body=job_form(self.world, self.url, job, request.user))

    def job_meta(self, request: Request, number: int) -> Answer:
        job = self._job(request, number)
        if request.method == "PATCH":
            job.deleted = sorted(request.body["deleted_frames"])
            self.world.touch(job)
        return Answer(body=meta_form(job.task, job))

    def job_validation_layout(self, request: Request, number: int) -> Answer:
        """Not recorded: in the form of the SDK's JobValidationLayoutRead."""
        frames = self._job(request, number).honeypots
        return Answer(
            body={"honeypot_count": len(frames), "honeypot_frames": frames, "honeypot_real_frames": [0] * len(frames)}
        )

    def task_meta(self, request: Request, number: int) -> Answer:
        return Answer(body=meta_form(self._task(request, number)))

    def job_data(self, request: Request, number: int) -> Answer:
        job = self._job(request, number)
        media = job.task.media
        assert media is not None
        if request.query.get("type") == "chunk":
            frames = job.chunk(int(request.query["index"]))
            if not frames:
                raise Refused(400, f"Incorrect requested chunk number: {request.query['index']}")
            content, kind = media.chunk(frames)
            return Answer(200, content, kind)
        if request.query.get("type") != "frame":
            raise Refused(400, ["Data type not specified or has wrong value"])
        wanted = int(request.query["number"])
        if wanted not in job.frames:
            raise Refused(400, f"Incorrect requested frame number: {wanted}")
        content, kind = media.frame(wanted, job.chunk(job.frames.index(wanted) // media.chunk_size))
        return Answer(200, content, kind)

    def job_annotations(self, request: Request, number: int) -> Answer:
        job = self._job(request, number)
        stored = self.world.annotations
        if request.method == "GET":
            return Answer(body=stored.get(number))
        if request.method == "DELETE":
            stored.clear(number)
            self._changed(job, str(request.user), {})
            return Answer(204)
        data = _strict_json(request.raw)
        result = (
            stored.put(number, data)
            if request.method == "PUT"
            else stored.patch(number, request.query.get("action"), data)
        )
        if any(data.get(kind) for kind in ("tags", "shapes", "tracks")):
            self._changed(job, str(request.user), {})
        return Answer(body=result)

    def task_annotations(self, request: Request, number: int) -> Answer:
        task = self._task(request, number)
        jobs = [job for job in self.world.jobs.values() if job.task is task]
        if request.method == "PATCH":  # every job gets what is on its frames
            for job in jobs:
                shapes = [s for s in request.body.get("shapes", []) if s["frame"] in job.frames]
                self.world.annotations.patch(job.id, request.query.get("action"), {"shapes": shapes})
        return Answer(body=self.world.annotations.get_many({job.id: job.stop for job in jobs}))

    def task_data(self, request: Request, number: int) -> Answer:
        media = self._task(request, number).media
        assert media is not None
        at, size = int(request.query["number"]), media.chunk_size
        if request.query["type"] == "chunk":
            content, kind = media.chunk(range(at * size, min((at + 1) * size, media.size)))
        else:
            content, kind = media.frame(at, range(at // size * size, min((at // size + 1) * size, media.size)))
        return Answer(200, content, kind)

    # -- functions and webhooks -----------------------------------------------------------------------------------

    def lambda_list(self, request: Request) -> Answer:
        return Answer(body=[function.form() for function in self.functions.values()])

    def lambda_function(self, request: Request, name: str) -> Answer:
        function = self.functions.get(str(name))
        if function is None:
            raise Refused(404, f"404 Client Error: Not Found for url: http://127.0.0.1:8070/api/functions/{name}")
        if request.method == "GET":
            return Answer(body=function.form())
        if request.body.get("job") in self.world.jobs:
            self._job(request, request.body["job"])
        return Answer(body=call(self.world, function, request.body))

    def issues(self, request: Request) -> Answer:
        chosen = [i for i in self.world.issues.values() if request.query.get("job_id") in (None, str(i["job"]))]
        return self._page(request, [issue_form(self.world, self.url, issue["id"]) for issue in chosen])

    def create_issue(self, request: Request) -> Answer:
        wanted = request.body
        missing = {
            name: ["This field is required."] for name in ("frame", "position", "job", "message") if name not in wanted
        }
        if missing or not wanted["position"]:
            raise Refused(400, missing or {"position": ["This list may not be empty."]})
        self._job(request, wanted["job"])
        number = self.world.take("issue")
        self.world.issues[number] = {"resolved": False, **wanted, "id": number, "owner": request.user, "comments": 1}
        return Answer(201, issue_form(self.world, self.url, number))

    def delete_issue(self, request: Request, number: int) -> Answer:
        issue = self.world.issues.get(number)
        if issue is None:
            raise Refused(404, {"detail": "No Issue matches the given query."})
        if request.user not in ("admin", issue["owner"]):
            raise Refused(403, _FORBIDDEN)
        del self.world.issues[number]
        return Answer(204)

    def create_webhook(self, request: Request) -> Answer:
        wanted = request.body
        bad = [event for event in wanted["events"] if event not in EVENTS]
        if bad:
            raise Refused(400, {"events": [f'"{bad[0]}" is not a valid choice.']})
        number = self.world.take("webhook")
        self.world.webhooks[number] = {**wanted, "id": number}
        return Answer(201, webhook_form(self.world, self.url, number, str(request.user)))

    def delete_webhook(self, request: Request, number: int) -> Answer:
        del self.world.webhooks[number]
        return Answer(204)

    def _changed(self, job: Job, user: str, before: Json) -> None:
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


def _strict_json(raw: bytes) -> Json:
    def refuse(constant: str) -> None:
        reason = f"Out of range float values are not JSON compliant: '{constant}'"
        raise Refused(400, {"detail": f"JSON parse error - {reason}"})

    return dict(json.loads(raw, parse_constant=refuse)) if raw else {}


def _multipart(request: Request) -> list[tuple[str, bytes]]:
    message = BytesParser().parsebytes(
        b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.raw
    )
    parts = message.get_payload()
    assert isinstance(parts, list)
    return [
        (part.get_filename().rsplit("/", 1)[-1], part.get_payload(decode=True)) for part in parts if part.get_filename()
    ]


_OPEN = {"/api/server/about", "/api/auth/login"}
_ROUTES: list[tuple[str, str, Callable[..., Answer]]] = [
    (method, pattern, action)
    for methods, pattern, action in (
        ("GET", "/api/server/about", StandIn.about),
        ("POST", "/api/auth/login", StandIn.log_in),
        ("GET", "/api/users/self", StandIn.users_self),
        ("POST", "/api/projects", StandIn.create_project),
        ("GET PATCH DELETE", r"/api/projects/(\d+)", StandIn.project),
        ("GET", "/api/tasks", StandIn.tasks),
        ("POST", "/api/tasks", StandIn.create_task),
        ("GET PATCH DELETE", r"/api/tasks/(\d+)", StandIn.task),
        ("POST", "/api/guides", StandIn.create_guide),
        ("GET PATCH", r"/api/guides/(\d+)", StandIn.guide),
        ("POST", r"/api/tasks/(\d+)/data", StandIn.upload),
        ("GET", r"/api/tasks/(\d+)/data/meta", StandIn.task_meta),
        ("GET", r"/api/tasks/(\d+)/data", StandIn.task_data),
        ("GET PATCH", r"/api/tasks/(\d+)/annotations", StandIn.task_annotations),
        ("GET", r"/api/requests/(.+)", StandIn.background),
        ("GET", "/api/labels", StandIn.labels),
        ("GET", "/api/jobs", StandIn.jobs),
        ("POST", "/api/jobs", StandIn.create_job),
        ("GET PATCH", r"/api/jobs/(\d+)", StandIn.job),
        ("GET PATCH", r"/api/jobs/(\d+)/data/meta", StandIn.job_meta),
        ("GET", r"/api/jobs/(\d+)/data", StandIn.job_data),
        ("GET", r"/api/jobs/(\d+)/validation_layout", StandIn.job_validation_layout),
        ("GET PUT PATCH DELETE", r"/api/jobs/(\d+)/annotations", StandIn.job_annotations),
        ("GET", "/api/lambda/functions", StandIn.lambda_list),
        ("GET POST", r"/api/lambda/functions/([\w.-]+)", StandIn.lambda_function),
        ("GET", "/api/issues", StandIn.issues),
        ("POST", "/api/issues", StandIn.create_issue),
        ("DELETE", r"/api/issues/(\d+)", StandIn.delete_issue),
        ("POST", "/api/webhooks", StandIn.create_webhook),
        ("DELETE", r"/api/webhooks/(\d+)", StandIn.delete_webhook),
    )
    for method in methods.split()
]
