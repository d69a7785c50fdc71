"""Nuclio's entry points: handler `function.main:handler`."""

from typing import Any

from function.http.messages import Reply, Request
from function.service import Service
from function.settings import load_settings


def init_context(context: Any) -> None:
    """Load and warm the model. What is wrong with the settings ends the worker here, with the variable's name."""
    context.user_data.service = Service.start(load_settings())
    context.logger.info_with("ready", model=context.user_data.service.model.name)


def handler(context: Any, event: Any) -> Any:
    """Answer one event; always with a `context.Response`, as Nuclio does something else with anything else."""
    request = Request(
        method=str(event.method or "GET"),
        path=str(event.path or "/"),
        body=event.body,
        headers=event.headers or {},
        id=str(event.id or ""),
        size=event.size if isinstance(event.size, int) else None,
    )
    reply: Reply = context.user_data.service.answer(request, context.logger)
    return context.Response(
        body=reply.body,
        content_type=reply.content_type,
        headers=reply.headers,
        status_code=int(reply.status),
    )
