"""The CVAT server as the rest of this package sees it: JSON in and out through cvat-sdk, errors in one line.

Answers are read as JSON and not as the SDK's models, which check every number of every mask, and whose enumerations
belong to one server version. Reads are tried again when the connection or the server fails for a moment; writes never
are, because a write whose answer got lost may have been done: the ledger finds out (siaf.cvat.job.settling). Only what
was turned away with 429 is sent again in any case.
"""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import urllib3
from cvat_sdk.api_client import exceptions
from cvat_sdk.core.client import AccessTokenCredentials, Client

from siaf.cvat.server.answers import (
    ANNOTATIONS,
    GUIDE,
    ISSUE,
    JOB,
    LABEL,
    LISTED_JOB,
    META,
    WRITTEN,
    Form,
    UnexpectedAnswer,
    check_answer,
    said,
    short,
)
from siaf.cvat.server.faults import ServerFault, Throttled, patiently, retry_after
from siaf.errors import InputError, SiafError

Json = dict[str, Any]
T = TypeVar("T")
Action = Literal["create", "update", "delete"]

TIMEOUT_S = (10.0, 180.0)
"""To connect, and to wait for an answer: CVAT gives a function 120 s."""
RETRY_DELAYS_S = (0.5, 2.0, 5.0)
FUNCTION_DELAYS_S = (0.5, 2.0, 5.0, 10.0, 10.0, 15.0, 15.0, 15.0)
"""A function that was killed loads its model again before it answers."""
_PAGE = 500


class NoJson(ServerFault):
    """A success without JSON: a page of some proxy, or an answer that was cut off."""


class Refusal(InputError):
    """The server said no; `status` is its HTTP status."""

    def __init__(self, message: str, *, field: str, status: int) -> None:
        super().__init__(message, field=field)
        self.status = status


def connect(
    host: str,
    *,
    token: str | None = None,
    user: tuple[str, str] | None = None,
    organization: str | None = None,
) -> Client:
    """A cvat-sdk client for `host` (scheme optional), with a personal access token or a (user, password).

    Raises InputError naming "host", "token" or "user", ServerFault if nothing answers.
    """
    logging.getLogger("cvat_sdk").setLevel(logging.ERROR)
    try:
        client = Client(address(host), check_server_version=False)
    except Exception as error:
        raise InputError(f"{host!r} is not a server's address ({error})", field="host") from None
    check_is_cvat(client)
    if organization is not None:
        client.organization_slug = organization
    if token is not None:
        client.login(AccessTokenCredentials(token))
    elif user is not None:
        patiently(lambda: log_in(lambda: client.login(user), client.api_map.host, user[0]), RETRY_DELAYS_S)
    return client


def address(host: str) -> str:
    """A host's address: its scheme may have been left out."""
    return host if "://" in host else f"https://{host}"


def check_is_cvat(client: Client) -> None:
    """Ask it what it is; from then on `Server` alone tries again. Raises InputError naming "host", or ServerFault."""
    # One place tries again, and says so: Server below.
    client.api_client.rest_client.pool_manager.connection_pool_kw["retries"] = urllib3.Retry(0, redirect=3)
    server = Server(client)
    try:
        about = server.call(client.api_client.server_api.retrieve_about, what="host")
    except NoJson:
        about = None
    if not isinstance(about, dict) or "version" not in about:
        raise InputError(f"{server.url} is not a CVAT server", field="host")


def log_in(attempt: Callable[[], T], host: str, user: str) -> T:
    """What an attempt to log in gives; its errors in one line each, as ServerFault or InputError."""
    try:
        return attempt()
    except urllib3.exceptions.HTTPError as error:
        raise ServerFault(f"CVAT at {host} does not answer ({short(error)})") from None
    except exceptions.ApiException as error:
        if error.status == 429:
            raise Throttled("CVAT accepts no logins right now: 429", retry_after(error.headers)) from None
        if error.status is None or error.status >= 500:
            raise ServerFault(f"CVAT failed on user {user!r}: {error.status} {short(error.reason)}") from None
        raise InputError(f"CVAT does not know user {user!r} with this password", field="user") from None


class Server:
    """Calls to a CVAT server, and what they cost: `requests` and `received` count requests and bytes."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.api = client.api_client
        self.url = client.api_map.host
        self.requests = 0
        self.received = 0

    # -- reading --------------------------------------------------------------------------------------------------

    def job(self, number: int) -> Json:
        """A job, as GET /api/jobs/{id}."""
        return self._get(self.api.jobs_api.retrieve, number, what=f"job {number}", form=JOB)

    def task(self, number: int) -> Json:
        """A task, as GET /api/tasks/{id}."""
        return self._get(self.api.tasks_api.retrieve, number, what=f"task {number}", form={})

    def project(self, number: int) -> Json:
        """A project, as GET /api/projects/{id}."""
        return self._get(self.api.projects_api.retrieve, number, what=f"project {number}", form={})

    def jobs(self, **query: Any) -> list[Json]:
        """All jobs that match, by id; `task_id`, `project_id`, `state`, `stage`, `type`, …, as in GET /api/jobs."""
        return self._pages(self.api.jobs_api.list_endpoint, "jobs", LISTED_JOB, sort="id", **query)

    @property
    def job_filters(self) -> set[str]:
        """What `jobs` can be asked for."""
        named = {name for name in self.api.jobs_api.list_endpoint.params_map["all"] if name[0].islower()}
        return named - {"page", "page_size", "sort"}

    def labels(self, **owner: int) -> list[Json]:
        """All labels of a `project_id`, `task_id` or `job_id`."""
        return self._pages(self.api.labels_api.list_endpoint, "labels", LABEL, **owner)

    def meta(self, job: int) -> Json:
        """A job's data, as GET /api/jobs/{id}/data/meta."""
        return self._get(self.api.jobs_api.retrieve_data_meta, job, what=f"job {job}", form=META)

    def honeypots(self, job: int) -> list[int]:
        """Frames of a job that were put there for quality control; none on servers that know of none."""
        try:
            layout = self.call(self.api.jobs_api.retrieve_validation_layout, job, what=f"job {job}")
        except Refusal as refusal:
            if refusal.status in (403, 404):
                return []
            raise
        return list((layout or {}).get("honeypot_frames") or [])

    def annotations(self, job: int) -> Json:
        """All shapes, tracks and tags of a job."""
        return self._get(self.api.jobs_api.retrieve_annotations, job, what=f"job {job}", form=ANNOTATIONS)

    def chunk(self, job: int, index: int) -> bytes:
        """A job's chunk at original quality: a zip of images, or an MP4."""
        return self._bytes(job, type="chunk", index=index)

    def guide(self, number: int) -> Json:
        """An annotation guide, as GET /api/guides/{id}."""
        return self._get(self.api.guides_api.retrieve, number, what=f"guide {number}", form=GUIDE)

    def function(self, name: str) -> Json:
        """A deployed function, as GET /api/lambda/functions/{id}."""
        return self._get(self.api.lambda_api.retrieve_functions, name, what=f"function {name!r}", form={})

    def frame(self, job: int, number: int) -> bytes:
        """A frame at original quality, the bytes of an image file; `number` is the task's."""
        return self._bytes(job, type="frame", number=number)

    # -- writing --------------------------------------------------------------------------------------------------

    def patch_annotations(
        self,
        job: int,
        action: Action,
        *,
        shapes: Sequence[Json] = (),
        tracks: Sequence[Json] = (),
        before: Callable[[], None] = lambda: None,
    ) -> Json:
        """Create, update or delete shapes and tracks; the server's answer, in the order given, with ids.

        `before` is called right before it is sent, also again after a 429, and may raise.
        """
        body = {"version": 0, "tags": [], "shapes": list(shapes), "tracks": list(tracks)}
        endpoint = self.api.jobs_api.partial_update_annotations_endpoint
        what = f"job {job}"
        answer = self._send(endpoint, {"id": job}, body, what=what, query={"action": action}, before=before)
        self._expect(answer, WRITTEN, what)
        if (len(answer["shapes"]), len(answer["tracks"])) != (len(shapes), len(tracks)):
            raise ServerFault(f"CVAT at {self.url} answered {what} with entries that differ from those it was sent")
        return dict(answer)

    def check_may_write(self, job: int) -> None:
        """Raises Refusal if this token may not write to the job; an empty write tells, and changes nothing."""
        self.patch_annotations(job, "create")

    def create_tag(self, job: int, tag: Json) -> int:
        """A tag (an annotation of a whole frame); its id."""
        body = {"version": 0, "tags": [tag], "shapes": [], "tracks": []}
        endpoint, what = self.api.jobs_api.partial_update_annotations_endpoint, f"job {job}"
        answer = self._send(endpoint, {"id": job}, body, what=what, query={"action": "create"})
        self._expect(answer, {"tags": [{"id": int}]}, what)
        return int(answer["tags"][0]["id"])

    def issues(self, job: int) -> list[Json]:
        """All issues of a job."""
        return self._pages(self.api.issues_api.list_endpoint, f"issues of job {job}", ISSUE, job_id=job)

    def create_issue(self, job: int, frame: int, position: Sequence[float], message: str) -> int:
        """An issue on a task frame, at left, top, right, bottom; its id."""
        body = {"job": job, "frame": frame, "position": list(position), "message": message, "resolved": False}
        what = f"issues of job {job}"
        answer = self._send(self.api.issues_api.create_endpoint, {}, body, what=what)
        self._expect(answer, ISSUE, what)
        return int(answer["id"])

    def delete_issue(self, number: int) -> None:
        """Delete an issue with its comments."""
        self._send(self.api.issues_api.destroy_endpoint, {"id": number}, None, what=f"issue {number}")

    def delete_tags(self, job: int, tags: Sequence[Json]) -> None:
        """Delete tags (annotations of whole frames) of a job."""
        body = {"version": 0, "tags": list(tags), "shapes": [], "tracks": []}
        endpoint = self.api.jobs_api.partial_update_annotations_endpoint
        self._send(endpoint, {"id": job}, body, what=f"job {job}", query={"action": "delete"})

    def change_labels(self, labels: Sequence[Json], *, project: int | None = None, task: int | None = None) -> None:
        """Add labels and attributes: an entry with `id` changes that label, one without makes a new label."""
        body = {"labels": list(labels)}
        if project is not None:
            endpoint = self.api.projects_api.partial_update_endpoint
            self._send(endpoint, {"id": project}, body, what=f"project {project}")
        else:
            self._send(self.api.tasks_api.partial_update_endpoint, {"id": task}, body, what=f"task {task}")

    def write_guide(
        self, markdown: str, *, number: int | None, project: int | None = None, task: int | None = None
    ) -> None:
        """Replace the text of a guide, or, if there is none, give a project or a task one."""
        api = self.api.guides_api
        if number is not None:
            self._send(api.partial_update_endpoint, {"id": number}, {"markdown": markdown}, what=f"guide {number}")
            return
        owner = {"project_id": project} if project is not None else {"task_id": task}
        self._send(api.create_endpoint, {}, {**owner, "markdown": markdown}, what="guides")

    def invoke(self, function: str, body: Json) -> Any:
        """Call a deployed function through CVAT; siaf's answers the same call twice alike, so it may be sent again."""
        endpoint = self.api.lambda_api.create_functions_endpoint
        what = f"function {function!r}"
        return self._send(endpoint, {"func_id": function}, body, what=what, delays=FUNCTION_DELAYS_S)

    # -- inside ---------------------------------------------------------------------------------------------------

    def call(self, method: Callable[..., Any], *args: object, what: str, **kwargs: Any) -> Any:
        """One reading call of the SDK, its answer as JSON; `what` is what errors name."""
        return self._json(method, *args, what=what, delays=RETRY_DELAYS_S, **kwargs)

    def _get(self, method: Callable[..., Any], *args: object, what: str, form: Form) -> Json:
        answer = self.call(method, *args, what=what)
        self._expect(answer, form, what)
        return dict(answer)

    def _json(
        self,
        method: Callable[..., Any],
        *args: object,
        what: str,
        delays: Sequence[float],
        before: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> Any:
        def attempt() -> Any:
            before()
            data = self._once(method, *args, what=what, **kwargs)
            try:
                return json.loads(data) if data else None
            except ValueError:
                raise NoJson(
                    f"CVAT at {self.url} answered {what} with something that is not JSON; is there a proxy in between?"
                ) from None

        return patiently(attempt, delays)

    def _expect(self, answer: Any, form: Form, what: str) -> None:
        try:
            check_answer(answer, form)
        except UnexpectedAnswer as error:
            raise ServerFault(f"CVAT at {self.url} answered {what} in a form siaf does not know: {error}") from None

    def _send(
        self,
        endpoint: Any,
        path: Json,
        body: Json | None,
        *,
        what: str,
        query: Json | None = None,
        delays: Sequence[float] = (),
        before: Callable[[], None] = lambda: None,
    ) -> Any:
        """A call with a body, past the SDK's models, which check every number and make floats of unknown keys'
        integers.
        """
        settings = endpoint.settings
        return self._json(
            self.api.call_api,
            settings["endpoint_path"],
            settings["http_method"],
            path_params=path,
            query_params=list((query or {}).items()),
            header_params={"Accept": "application/vnd.cvat+json"},
            body=body,
            auth_settings=settings["auth"],
            what=what,
            delays=delays,
            before=before,
        )

    def _bytes(self, job: int, **query: object) -> bytes:
        what = f"job {job}"
        return patiently(
            lambda: self._once(self.api.jobs_api.retrieve_data, job, quality="original", what=what, **query),
            RETRY_DELAYS_S,
        )

    def _pages(self, endpoint: Any, what: str, form: Form, **query: Any) -> list[Json]:
        results: list[Json] = []
        page = 1
        while True:
            asked = {**query, "page": page, "page_size": _PAGE}
            answer = self._send(endpoint, {}, None, what=what, query=asked, delays=RETRY_DELAYS_S)
            self._expect(answer, {"results": [form], "next": object}, what)
            results += answer["results"]
            if not answer["next"]:
                return results
            page += 1

    def _once(self, method: Callable[..., Any], *args: object, what: str, **kwargs: object) -> bytes:
        self.requests += 1
        try:
            _, response = method(
                *args, **kwargs, _parse_response=False, _check_status=False, _request_timeout=TIMEOUT_S
            )
            data = bytes(response.data)
        except urllib3.exceptions.NameResolutionError:
            raise InputError(f"no host has this name: {self.url}", field="host") from None
        except urllib3.exceptions.HTTPError as error:
            cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            if isinstance(cause, urllib3.exceptions.NameResolutionError):
                raise InputError(f"no host has this name: {self.url}", field="host") from None
            raise ServerFault(f"CVAT at {self.url} does not answer ({short(cause)})") from None
        except exceptions.ApiException as error:  # a TLS failure has no status
            raise ServerFault(f"CVAT at {self.url} does not answer ({short(error.reason)})") from None
        self.received += len(data)
        if not 200 <= response.status < 300:
            raise self._error(response.status, data, what, response.headers)
        return data

    def _error(self, status: int, data: bytes, what: str, headers: Any) -> SiafError:
        words = said(data)
        if status == 429:
            return Throttled(f"CVAT wants fewer requests, on {what}: 429 {words}", retry_after(headers))
        if status >= 500 or status == 408:
            return ServerFault(f"CVAT failed on {what}: {status} {words}")
        reason = {
            401: f"CVAT refuses the token: wrong, expired or missing ({words})",
            403: f"no permission; assign it to this user, and check that the token may write ({words})",
            404: f"not found in {self.url} ({words})",
        }
        field = "token" if status == 401 else what
        return Refusal(reason.get(status, f"refused by CVAT: {status} {words}"), field=field, status=status)
