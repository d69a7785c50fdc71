"""What the store holds of a session besides its state and its frames."""

import json
import re
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import Any

_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Record:
    """A session's passport. `state` is the key of its state file, None before the first round.

    `last` is the fingerprint of the change that led to `revision`: the same request again is a repetition.
    """

    id: str
    frames: int
    height: int
    width: int
    name: str | None = None
    revision: int = 0
    state: str | None = None
    last: str = ""
    digests: dict[int, str] = field(default_factory=dict)

    @staticmethod
    def new_id() -> str:
        """An identifier that nobody can guess."""
        return secrets.token_hex(16)

    @staticmethod
    def key(session: str) -> str | None:
        """Where the record of a session is; None for what cannot be an identifier."""
        return f"session/{session}/record" if _ID.fullmatch(session) else None

    def state_key(self, digest: str) -> str:
        """Where a state of this session is."""
        return f"session/{self.id}/state/{digest}"

    def with_frames(self, digests: dict[int, str]) -> "Record":
        """The record with more frames bound."""
        return replace(self, digests={**self.digests, **digests})

    def dump(self) -> bytes:
        """As JSON, always the same for the same record."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def parse(cls, data: bytes) -> "Record":
        """The inverse of `dump`."""
        fields: dict[str, Any] = json.loads(data)
        return cls(**{**fields, "digests": {int(n): d for n, d in fields["digests"].items()}})
