"""What CVAT keeps for the tracker between calls: a small signed note of where an object's track stands."""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from typing import Any

from function.http.messages import Busy, impossible
from function.store import Store

_SECRET_KEY = "secret"
_SECRET_TTL_S = 10 * 365 * 86400.0
_FIELDS = {"session": str, "tag": int, "step": int, "revision": str}


@dataclass(frozen=True)
class Token:
    """An object of a tracker session. `revision` names the snapshot, `step` counts the frames since the start."""

    session: str
    tag: int
    step: int
    revision: str


class Tokens:
    """Signed with a secret of the store, so that all its workers agree and nobody else can make one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._key: bytes | None = None

    def sign(self, token: Token) -> dict[str, Any]:
        """The token as CVAT's state."""
        fields = {name: getattr(token, name) for name in _FIELDS}
        return {**fields, "mac": self._mac(fields)}

    def read(self, state: Any, name: str) -> Token:
        """The token in a state. Raises ApiError 422 naming it if it is none of this store's."""
        if not isinstance(state, dict) or set(state) != {*_FIELDS, "mac"}:
            raise impossible("is not a state of this function", name)
        fields = {key: state[key] for key in _FIELDS}
        mac = state["mac"]
        fits = all(type(fields[key]) is kind for key, kind in _FIELDS.items()) and isinstance(mac, str)
        if not (fits and mac.isascii() and hmac.compare_digest(self._mac(fields), mac)):
            raise impossible("is not a state of this function, or was changed", name)
        return Token(**fields)

    def _mac(self, fields: dict[str, Any]) -> str:
        text = json.dumps(fields, sort_keys=True).encode()
        return hmac.new(self._secret(), text, hashlib.sha256).hexdigest()[:32]

    def _secret(self) -> bytes:
        """The store's secret. Read each time: it is the last thing that a full store drops, and a store that lost its
        data may have got another one from another worker.
        """
        key = self._store.get(_SECRET_KEY)
        if key is None:  # whoever comes first brings back the one that all had
            self._store.swap(_SECRET_KEY, None, self._key or secrets.token_bytes(32), _SECRET_TTL_S)
            key = self._store.get(_SECRET_KEY)
            if key is None:
                raise Busy("the store lost its secret")
        self._key = key
        return key
