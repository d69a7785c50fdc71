"""The type of the fixture `chart`."""

from collections.abc import Callable
from typing import Any

Chart = Callable[..., list[dict[str, Any]]]
"""Values as Helm's --set-json takes them ("service.enabled=true") → the manifests that Helm makes of our chart."""
