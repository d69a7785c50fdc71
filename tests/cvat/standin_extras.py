"""What the stand-in has beside annotations: functions, issues, webhooks."""

from standin_annotations import Refused
from standin_cvat import FORBIDDEN, Cvat, Routes
from standin_forms import issue_form, webhook_form
from standin_http import Answer, Request
from standin_lambda import call

EVENTS = ("create:job", "update:job", "delete:job", "create:task", "update:task", "delete:task")


def lambda_list(cvat: Cvat, request: Request) -> Answer:
    return Answer(body=[function.form() for function in cvat.functions.values()])


def lambda_function(cvat: Cvat, request: Request, name: str) -> Answer:
    function = cvat.functions.get(str(name))
    if function is None:
        raise Refused(404, f"404 Client Error: Not Found for url: http://127.0.0.1:8070/api/functions/{name}")
    if request.method == "GET":
        return Answer(body=function.form())
    if request.body.get("job") in cvat.world.jobs:
        cvat.open_job(request, request.body["job"])
    return Answer(body=call(cvat.world, function, request.body))


def issues(cvat: Cvat, request: Request) -> Answer:
    chosen = [i for i in cvat.world.issues.values() if request.query.get("job_id") in (None, str(i["job"]))]
    return cvat.page(request, [issue_form(cvat.world, cvat.url, issue["id"]) for issue in chosen])


def create_issue(cvat: Cvat, request: Request) -> Answer:
    wanted = request.body
    missing = {
        name: ["This field is required."] for name in ("frame", "position", "job", "message") if name not in wanted
    }
    if missing or not wanted["position"]:
        raise Refused(400, missing or {"position": ["This list may not be empty."]})
    cvat.open_job(request, wanted["job"])
    number = cvat.world.take("issue")
    cvat.world.issues[number] = {"resolved": False, **wanted, "id": number, "owner": request.user, "comments": 1}
    return Answer(201, issue_form(cvat.world, cvat.url, number))


def delete_issue(cvat: Cvat, request: Request, number: int) -> Answer:
    issue = cvat.world.issues.get(number)
    if issue is None:
        raise Refused(404, {"detail": "No Issue matches the given query."})
    if request.user not in ("admin", issue["owner"]):
        raise Refused(403, FORBIDDEN)
    del cvat.world.issues[number]
    return Answer(204)


def create_webhook(cvat: Cvat, request: Request) -> Answer:
    wanted = request.body
    bad = [event for event in wanted["events"] if event not in EVENTS]
    if bad:
        raise Refused(400, {"events": [f'"{bad[0]}" is not a valid choice.']})
    number = cvat.world.take("webhook")
    cvat.world.webhooks[number] = {**wanted, "id": number}
    return Answer(201, webhook_form(cvat.world, cvat.url, number, str(request.user)))


def delete_webhook(cvat: Cvat, request: Request, number: int) -> Answer:
    del cvat.world.webhooks[number]
    return Answer(204)


ROUTES: Routes = [
    ("GET", "/api/lambda/functions", lambda_list),
    ("GET POST", r"/api/lambda/functions/([\w.-]+)", lambda_function),
    ("GET", "/api/issues", issues),
    ("POST", "/api/issues", create_issue),
    ("DELETE", r"/api/issues/(\d+)", delete_issue),
    ("POST", "/api/webhooks", create_webhook),
    ("DELETE", r"/api/webhooks/(\d+)", delete_webhook),
]
