"""The stand-in's users, projects, tasks, guides and labels, and what it says of itself."""

import re
from email.parser import BytesParser

from standin_annotations import Refused
from standin_cvat import Cvat, Routes
from standin_forms import meta_form, project_form, request_form, self_form, task_form
from standin_http import Answer, Request
from standin_sessions import sign_in


def about(cvat: Cvat, request: Request) -> Answer:
    name = "Computer Vision Annotation Tool"
    return Answer(
        body={
            "name": name,
            "description": "",
            "version": cvat.world.version,
            "logo_url": "",
            "subtitle": "Open Data Annotation Platform",
        }
    )


def log_in(cvat: Cvat, request: Request) -> Answer:
    user = request.body["username"]
    if cvat.world.passwords.get(user) != request.body["password"]:
        raise Refused(400, {"non_field_errors": ["Unable to log in with provided credentials."]})
    cookies = [("Set-Cookie", f"{name}={value}; Path=/") for name, value in sign_in(cvat.world, user).items()]
    return Answer(body={"key": "x"}, headers=cookies)


def users_self(cvat: Cvat, request: Request) -> Answer:
    return Answer(body=self_form(cvat.world, cvat.url, str(request.user)))


def create_project(cvat: Cvat, request: Request) -> Answer:
    number = cvat.world.add_project(request.body)
    return Answer(201, project_form(cvat.world, cvat.url, number))


def project(cvat: Cvat, request: Request, number: int) -> Answer:
    if number not in cvat.world.projects:
        raise Refused(404, {"detail": "No Project matches the given query."})
    if request.method == "DELETE":
        for task in [t for t in cvat.world.tasks.values() if t.spec.get("project_id") == number]:
            cvat.world.drop_task(task)
        del cvat.world.projects[number]
        return Answer(204)
    if request.method == "PATCH":
        cvat.world.change_labels(request.body.get("labels", []), project=number)
    return Answer(body=project_form(cvat.world, cvat.url, number))


def create_task(cvat: Cvat, request: Request) -> Answer:
    return Answer(201, task_form(cvat.world, cvat.url, cvat.world.add_task(request.body)))


def tasks(cvat: Cvat, request: Request) -> Answer:
    project = request.query.get("project_id")
    chosen = [t for t in cvat.world.tasks.values() if project in (None, str(t.spec.get("project_id")))]
    return cvat.page(request, [task_form(cvat.world, cvat.url, task) for task in chosen])


def task(cvat: Cvat, request: Request, number: int) -> Answer:
    task = cvat.open_task(request, number)
    if request.method == "DELETE":
        cvat.world.drop_task(task)
        return Answer(204)
    if request.method == "PATCH" and request.body.get("labels"):
        if task.spec.get("project_id"):
            raise Refused(400, ["Labels cannot be set for a task in a project"])
        cvat.world.change_labels(request.body["labels"], task=number)
    return Answer(body=task_form(cvat.world, cvat.url, task))


def create_guide(cvat: Cvat, request: Request) -> Answer:
    """One for a project or a task, as the SDK's schemas have it."""
    owner = {"project_id": request.body.get("project_id"), "task_id": request.body.get("task_id")}
    if (owner["project_id"] is None) == (owner["task_id"] is None):
        raise Refused(400, {"non_field_errors": ["Exactly one of project_id or task_id must be provided"]})
    number = cvat.world.take("guide")
    cvat.world.guides[number] = {"id": number, "markdown": request.body.get("markdown", ""), **owner}
    return Answer(201, cvat.world.guides[number])


def guide(cvat: Cvat, request: Request, number: int) -> Answer:
    if number not in cvat.world.guides:
        raise Refused(404, {"detail": "No AnnotationGuide matches the given query."})
    if request.method == "PATCH":
        cvat.world.guides[number]["markdown"] = request.body["markdown"]
    return Answer(body=cvat.world.guides[number])


def upload(cvat: Cvat, request: Request, number: int) -> Answer:
    task = cvat.open_task(request, number)
    if "upload-start" in request.headers:
        cvat.uploads[number] = []
    elif "upload-multiple" in request.headers:
        cvat.uploads[number] += _multipart(request)
        return Answer(200)
    elif "upload-finish" in request.headers:
        cvat.world.add_data(task, cvat.uploads.pop(number), request.body)
    return Answer(202, {"rq_id": f"action=create&target=task&target_id={number}"})


def background(cvat: Cvat, request: Request, target: str) -> Answer:
    number = int(re.findall(r"target_id(?:=|%3D)(\d+)", target)[0])
    return Answer(body=request_form(cvat.world.tasks[number]))


def labels(cvat: Cvat, request: Request) -> Answer:
    chosen = {
        key: int(request.query[f"{key}_id"]) for key in ("project", "task", "job") if f"{key}_id" in request.query
    }
    return cvat.page(request, cvat.world.labels_of(**chosen))


def task_meta(cvat: Cvat, request: Request, number: int) -> Answer:
    return Answer(body=meta_form(cvat.open_task(request, number)))


def task_annotations(cvat: Cvat, request: Request, number: int) -> Answer:
    task = cvat.open_task(request, number)
    jobs = [job for job in cvat.world.jobs.values() if job.task is task]
    if request.method == "PATCH":  # every job gets what is on its frames
        for job in jobs:
            shapes = [s for s in request.body.get("shapes", []) if s["frame"] in job.frames]
            cvat.world.annotations.patch(job.id, request.query.get("action"), {"shapes": shapes})
    return Answer(body=cvat.world.annotations.get_many({job.id: job.stop for job in jobs}))


def task_data(cvat: Cvat, request: Request, number: int) -> Answer:
    media = cvat.open_task(request, number).media
    assert media is not None
    at, size = int(request.query["number"]), media.chunk_size
    if request.query["type"] == "chunk":
        content, kind = media.chunk(range(at * size, min((at + 1) * size, media.size)))
    else:
        content, kind = media.frame(at, range(at // size * size, min((at // size + 1) * size, media.size)))
    return Answer(200, content, kind)


def _multipart(request: Request) -> list[tuple[str, bytes]]:
    message = BytesParser().parsebytes(
        b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + request.raw
    )
    parts = message.get_payload()
    assert isinstance(parts, list)
    return [
        (part.get_filename().rsplit("/", 1)[-1], part.get_payload(decode=True)) for part in parts if part.get_filename()
    ]


ROUTES: Routes = [
    ("GET", "/api/server/about", about),
    ("POST", "/api/auth/login", log_in),
    ("GET", "/api/users/self", users_self),
    ("POST", "/api/projects", create_project),
    ("GET PATCH DELETE", r"/api/projects/(\d+)", project),
    ("GET", "/api/tasks", tasks),
    ("POST", "/api/tasks", create_task),
    ("GET PATCH DELETE", r"/api/tasks/(\d+)", task),
    ("POST", "/api/guides", create_guide),
    ("GET PATCH", r"/api/guides/(\d+)", guide),
    ("POST", r"/api/tasks/(\d+)/data", upload),
    ("GET", r"/api/tasks/(\d+)/data/meta", task_meta),
    ("GET", r"/api/tasks/(\d+)/data", task_data),
    ("GET PATCH", r"/api/tasks/(\d+)/annotations", task_annotations),
    ("GET", r"/api/requests/(.+)", background),
    ("GET", "/api/labels", labels),
]
