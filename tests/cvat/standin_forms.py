"""Users, projects, tasks, jobs and media of the stand-in in the JSON forms of a 2.73.0 server."""

from typing import Any

from standin_world import Job, Task, World, now

Json = dict[str, Any]


def user_form(world: World, url: str, name: str | None) -> Json | None:
    """The short form of a user, as in `owner` and `assignee`."""
    if name is None:
        return None
    number = world.users[name]
    link = f"{url}/api/users/{number}"
    return {"url": link, "id": number, "username": name, "first_name": "", "last_name": ""}


def self_form(world: World, url: str, name: str) -> Json:
    """GET /api/users/self."""
    return {
        **(user_form(world, url, name) or {}),
        "email": f"{name}@lab.local",
        "groups": ["admin" if name == "admin" else "user"],
        "is_staff": name == "admin",
        "is_superuser": name == "admin",
        "is_active": True,
        "last_login": None,
        "date_joined": "2026-11-22T21:43:20.917296Z",
        "has_analytics_access": name == "admin",
    }


def project_form(world: World, url: str, number: int) -> Json:
    """GET /api/projects/{id}."""
    project = world.projects[number]
    return {
        "url": f"{url}/api/projects/{number}",
        "id": number,
        "name": project["name"],
        "owner": user_form(world, url, "admin"),
        "assignee": None,
        "guide_id": world.guide_of(project_id=number),
        "bug_tracker": "",
        "created_date": project["created"],
        "updated_date": project["created"],
        "status": "annotation",
        "dimension": None,
        "organization": None,
        "organization_id": None,
        "target_storage": None,
        "source_storage": None,
        "tasks": {"count": 0, "url": f"{url}/api/tasks?project_id={number}"},
        "labels": {"url": f"{url}/api/labels?project_id={number}"},
        "task_subsets": [],
        "assignee_updated_date": None,
    }


def job_form(world: World, url: str, job: Job, user: str | None = "admin") -> Json:
    """GET /api/jobs/{id}; whoever may see the job alone is not told the names of its task and project."""
    task = job.task
    media = task.media
    assert media is not None
    project = task.spec.get("project_id")
    return {
        "url": f"{url}/api/jobs/{job.id}",
        "id": job.id,
        "task_id": task.id,
        "task_name": task.spec["name"] if user == "admin" else None,
        "project_id": project,
        "project_name": world.projects[project]["name"] if project and user == "admin" else None,
        "assignee": user_form(world, url, job.assignee),
        "guide_id": world.guide_of(task_id=task.id),
        "dimension": job.dimension,
        "mode": "interpolation" if media.is_video else "annotation",
        "media_type": job.media_type,
        "bug_tracker": "",
        "status": job.stage,
        "stage": job.stage,
        "state": job.state,
        "frame_count": len(job.frames),
        "start_frame": job.start,
        "stop_frame": job.stop,
        "data_chunk_size": media.chunk_size,
        "data_compressed_chunk_type": media.chunk_type,
        "data_original_chunk_type": media.chunk_type,
        "created_date": job.created,
        "updated_date": job.updated,
        "issues": {"url": f"{url}/api/issues?job_id={job.id}", "count": 0},
        "labels": {"url": f"{url}/api/labels?job_id={job.id}"},
        "type": job.kind,
        "organization": None,
        "target_storage": None,
        "source_storage": None,
        "assignee_updated_date": None,
        "parent_job_id": job.parent,
        "replicas_count": 0,
        **({"consensus_replicas": 0} if world.version == "2.73.0" else {}),
    }


def task_form(world: World, url: str, task: Task) -> Json:
    """GET /api/tasks/{id}; without data many fields are empty."""
    media = task.media
    project = task.spec.get("project_id")
    jobs = [job for job in world.jobs.values() if job.task is task]
    form: Json = {
        "url": f"{url}/api/tasks/{task.id}",
        "id": task.id,
        "name": task.spec["name"],
        "project_id": project,
        "project_name": world.projects[project]["name"] if project else None,
        "owner": user_form(world, url, "admin"),
        "assignee": None,
        "bug_tracker": "",
        "created_date": task.created,
        "updated_date": task.updated,
        "overlap": task.spec.get("overlap"),
        "segment_size": task.spec.get("segment_size") or (media.size if media else 0),
        "status": "annotation",
        "guide_id": world.guide_of(task_id=task.id),
        "data": None,
        "dimension": "",
        "mode": "",
        "media_type": "",
        "subset": "",
        "organization_id": None,
        "organization": None,
        "target_storage": None,
        "source_storage": None,
        "jobs": {
            "count": len(jobs),
            "completed": sum(job.state == "completed" for job in jobs),
            "validation": 0,
            "url": f"{url}/api/jobs?task_id={task.id}",
        },
        "labels": {"url": f"{url}/api/labels?task_id={task.id}"},
        "assignee_updated_date": None,
        "validation_mode": None,
        **({"consensus_enabled": False} if world.version == "2.73.0" else {"initial_replicas": 0}),
    }
    if media is not None:
        form |= {
            "data_chunk_size": media.chunk_size,
            "data_original_chunk_type": media.chunk_type,
            "data_compressed_chunk_type": media.chunk_type,
            "data_cloud_storage_id": None,
            "size": media.size,
            "image_quality": int(media.settings.get("image_quality", 70)),
            "data": task.id,
            "dimension": "2d",
            "mode": "interpolation" if media.is_video else "annotation",
            "media_type": "image",
        }
    return form


def meta_form(task: Task, job: Job | None = None) -> Json:
    """GET …/data/meta. Start and stop are frames of the source; the frames of a video have one entry together."""
    media = task.media
    assert media is not None
    frames = range(media.size) if job is None else range(job.start, job.stop + 1)
    included = None if job is None else job.included
    shown = media.shown if media.is_video else [media.shown[f] for f in frames]
    if included is not None:
        shown = [s if f in included else ("placeholder.jpg", s[1]) for f, s in zip(frames, shown, strict=True)]
    return {
        "chapters": [] if media.is_video else None,
        "chunks_updated_date": task.created,
        "chunk_size": media.chunk_size,
        "size": len(frames) if included is None else len(included),
        "image_quality": int(media.settings.get("image_quality", 70)),
        "start_frame": media.start + frames[0] * media.step,
        "stop_frame": media.start + frames[-1] * media.step,
        "frame_filter": media.settings.get("frame_filter", ""),
        "frames": [
            {
                "width": int(w),
                "height": int(h),
                "name": name,
                "related_files": 0,
                "has_related_context": False,
            }
            for name, (w, h) in shown
        ],
        "deleted_frames": [] if job is None else job.deleted,
        "included_frames": included,
        "storage": "local",
        "cloud_storage_id": None,
    }


def request_form(task: Task) -> Json:
    """GET /api/requests/{id} of a task's creation, which is always done at once here."""
    return {
        "status": "finished",
        "message": "",
        "id": f"action=create&target=task&target_id={task.id}",
        "operation": {
            "type": "create:task",
            "target": "task",
            "project_id": task.spec.get("project_id"),
            "task_id": task.id,
            "job_id": None,
            "org_id": None,
            "format": None,
            "lightweight": None,
        },
        "progress": 0.0,
        "created_date": task.created,
        "started_date": task.created,
        "finished_date": task.updated,
        "expiry_date": task.updated,
        "owner": {"id": 1, "username": "admin"},
        "result_url": None,
        "result_id": None,
    }


def webhook_form(world: World, url: str, number: int, owner: str) -> Json:
    """The answer to POST /api/webhooks: everything but the secret."""
    created = now()
    return {
        "id": number,
        "url": f"{url}/api/webhooks/{number}",
        "owner": user_form(world, url, owner),
        "created_date": created,
        "updated_date": created,
        "organization": None,
        **{key: value for key, value in world.webhooks[number].items() if key != "secret"},
    }


def issue_form(world: World, url: str, number: int) -> Json:
    """Not recorded: in the form of CVAT's serializer for reading issues."""
    issue = world.issues[number]
    return {
        "id": number,
        "frame": issue["frame"],
        "position": issue["position"],
        "job": issue["job"],
        "owner": user_form(world, url, issue["owner"]),
        "assignee": None,
        "created_date": now(),
        "updated_date": now(),
        "resolved": issue["resolved"],
        "comments": {"url": f"{url}/api/comments?issue_id={number}", "count": issue["comments"]},
    }
