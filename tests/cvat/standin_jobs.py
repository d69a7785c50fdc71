"""The stand-in's jobs: states, pictures, annotations."""

import json
from typing import Any

from standin_annotations import Refused
from standin_cvat import Cvat, Routes
from standin_forms import job_form, meta_form
from standin_http import Answer, Request

Json = dict[str, Any]


def jobs(cvat: Cvat, request: Request) -> Answer:
    forms = [job_form(cvat.world, cvat.url, job) for job in cvat.world.jobs.values()]
    for key in ("task_id", "project_id", "state", "stage", "type"):
        if key in request.query:
            forms = [form for form in forms if str(form[key]) == request.query[key]]
    return cvat.page(request, sorted(forms, key=lambda f: f["id"], reverse=request.query.get("sort") != "id"))


def create_job(cvat: Cvat, request: Request) -> Answer:
    wanted = request.body
    task = cvat.open_task(request, wanted["task_id"])
    assert task.media is not None
    job = cvat.world.add_job(task, 0, task.media.size - 1, kind=wanted["type"], included=wanted["frames"])
    return Answer(201, job_form(cvat.world, cvat.url, job))


def job(cvat: Cvat, request: Request, number: int) -> Answer:
    job = cvat.open_job(request, number)
    if request.method == "PATCH":
        wanted = request.body
        if wanted.get("state", "new") not in ("new", "in progress", "completed", "rejected"):
            raise Refused(400, {"state": [f'"{wanted["state"]}" is not a valid choice.']})
        names = {number: name for name, number in cvat.world.users.items()}
        before = {key: getattr(job, key) for key in ("state", "stage") if key in wanted}
        job.state, job.stage = wanted.get("state", job.state), wanted.get("stage", job.stage)
        job.assignee = names.get(wanted.get("assignee"), job.assignee)
        cvat.job_changed(job, str(request.user), before)
    return Answer(body=job_form(cvat.world, cvat.url, job, request.user))


def job_meta(cvat: Cvat, request: Request, number: int) -> Answer:
    job = cvat.open_job(request, number)
    if request.method == "PATCH":
        job.deleted = sorted(request.body["deleted_frames"])
        cvat.world.touch(job)
    return Answer(body=meta_form(job.task, job))


def job_validation_layout(cvat: Cvat, request: Request, number: int) -> Answer:
    """Not recorded: in the form of the SDK's JobValidationLayoutRead."""
    frames = cvat.open_job(request, number).honeypots
    return Answer(
        body={"honeypot_count": len(frames), "honeypot_frames": frames, "honeypot_real_frames": [0] * len(frames)}
    )


def job_data(cvat: Cvat, request: Request, number: int) -> Answer:
    job = cvat.open_job(request, number)
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


def job_annotations(cvat: Cvat, request: Request, number: int) -> Answer:
    job = cvat.open_job(request, number)
    stored = cvat.world.annotations
    if request.method == "GET":
        return Answer(body=stored.get(number))
    if request.method == "DELETE":
        stored.clear(number)
        cvat.job_changed(job, str(request.user), {})
        return Answer(204)
    data = _strict_json(request.raw)
    result = (
        stored.put(number, data) if request.method == "PUT" else stored.patch(number, request.query.get("action"), data)
    )
    if any(data.get(kind) for kind in ("tags", "shapes", "tracks")):
        cvat.job_changed(job, str(request.user), {})
    return Answer(body=result)


def _strict_json(raw: bytes) -> Json:
    def refuse(constant: str) -> None:
        reason = f"Out of range float values are not JSON compliant: '{constant}'"
        raise Refused(400, {"detail": f"JSON parse error - {reason}"})

    return dict(json.loads(raw, parse_constant=refuse)) if raw else {}


ROUTES: Routes = [
    ("GET", "/api/jobs", jobs),
    ("POST", "/api/jobs", create_job),
    ("GET PATCH", r"/api/jobs/(\d+)", job),
    ("GET PATCH", r"/api/jobs/(\d+)/data/meta", job_meta),
    ("GET", r"/api/jobs/(\d+)/data", job_data),
    ("GET", r"/api/jobs/(\d+)/validation_layout", job_validation_layout),
    ("GET PUT PATCH DELETE", r"/api/jobs/(\d+)/annotations", job_annotations),
]
