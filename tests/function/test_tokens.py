"""The secret with which replicas sign what they give out."""

import pytest
from redis_server import redis_server

from function.http.messages import ApiError
from function.state.tokens import Token, Tokens
from function.store import Store, open_store


def test_replicas_agree_again_after_redis_has_lost_its_data() -> None:
    """One of them is restarted before the other asks."""
    token = Token("s", 1, 0, "r")
    with redis_server() as url:
        stores: list[Store] = [open_store(url, 2**20) for _ in range(2)]
        stays, restarts = Tokens(stores[0]), Tokens(stores[1])
        restarts.read(stays.sign(token), "states[0]")
        stores[0].delete("secret")
        restarted = Tokens(stores[1])
        assert stays.read(restarted.sign(token), "states[0]") == token
        assert restarted.read(stays.sign(token), "states[0]") == token
        signed = stays.sign(token)
        stores[0].delete("secret")  # and where nobody was restarted, the old one comes back
        assert restarted.read(signed, "states[0]") == token
        with pytest.raises(ApiError):
            restarted.read({**signed, "tag": 2}, "states[0]")
