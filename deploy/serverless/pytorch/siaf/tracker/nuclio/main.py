"""What Nuclio starts. The base image holds the function; nuctl copies this folder beside it."""

from function.main import handler, init_context

__all__ = ["handler", "init_context"]
