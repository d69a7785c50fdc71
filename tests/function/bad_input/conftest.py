"""Whatever comes in: the right status, an error that names the field, and the next request is served."""

from collections.abc import Iterator

import pytest
from function_client import Client


@pytest.fixture(autouse=True)
def _alive(client: Client, jpegs: list[bytes]) -> Iterator[None]:
    """After every request the function still answers."""
    yield
    assert client.cvat(jpegs[0], pos_points=[[20, 20]], neg_points=[])["mask"]
