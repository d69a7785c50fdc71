"""Settings from the environment, and the table of them that the documentation shows."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from siaf.errors import SiafError

PREFIX = "SIAF_"
MIB = 2**20


class SettingsError(SiafError):
    """A setting is wrong. The message names its variable."""


class Settings(BaseSettings):
    """Every variable that the function reads. Defaults suit one GPU or a few CPU cores and one replica."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", hide_input_in_errors=True, allow_inf_nan=False)

    model: Annotated[
        str,
        Field(
            description="`siaf-t`, `siaf-r50`, `siaf-swinb`; `best` of those in the weights folder; `hf:ORG/NAME`"
            " (needs huggingface_hub); `edgetam`, `sam2.1-…` (docs/engines.md)"
        ),
    ] = "siaf-t"
    weights: Annotated[
        Path | None, Field(description="weights file, or folder of another engine; empty: the one in the package")
    ] = None
    device: Annotated[str, Field(description="`auto`, `cpu`, `cuda`, `cuda:1` …")] = "auto"
    short_side: Annotated[
        int | None,
        Field(ge=33, le=2161, description="short side of propagated frames, in pixels; empty: the model's own"),
    ] = None
    interaction_short_side: Annotated[
        int | None,
        Field(ge=33, le=2161, description="short side of scribbled frames, in pixels; empty: the model's own"),
    ] = None
    store: Annotated[str, Field(description="where sessions live: `memory:`, `file:DIR` or `redis://HOST:PORT/DB`")] = (
        "memory:"
    )
    store_bytes: Annotated[
        int,
        Field(
            ge=MIB,
            description="size above which `memory:` and `file:` drop what was used longest ago; Redis has `maxmemory`",
        ),
    ] = 4096 * MIB
    session_ttl: Annotated[
        int,
        Field(
            ge=1,
            description="seconds to keep a session or tracker state after its last use; CVAT keeps states for 28800",
        ),
    ] = 43200
    live_sessions: Annotated[int, Field(ge=1, description="sessions kept unpacked in a worker")] = 4
    feature_bytes: Annotated[
        int, Field(ge=MIB, description="memory for the features of frames already seen, in bytes")
    ] = 512 * MIB
    feature_folder: Annotated[
        Path | None,
        Field(description="folder for features beyond that, for this worker alone; empty: forget them"),
    ] = None
    feature_disk_bytes: Annotated[int, Field(ge=MIB, description="largest size of that folder, in bytes")] = 8192 * MIB
    encode_ahead: Annotated[
        bool,
        Field(
            description="encode uploaded frames while the worker is idle; a request may then have to wait for one frame"
        ),
    ] = False
    autocast: Annotated[
        bool, Field(description="run the networks in half precision, on GPUs that support it; masks change slightly")
    ] = False
    adapt: Annotated[
        bool,
        Field(
            description="before a round is propagated, fit the network to the masks that people gave, if there is one: "
            "better masks for 7 to 20 seconds of processor time; a propagate call may say otherwise"
        ),
    ] = True
    token: Annotated[
        SecretStr | None,
        Field(description="if set, `/v1` needs `Authorization: Bearer …`; CVAT's own calls cannot send it"),
    ] = None
    budget_s: Annotated[float, Field(gt=0, description="seconds a propagate call works if the caller names none")] = 5.0
    max_budget_s: Annotated[
        float,
        Field(
            gt=0, description="the most seconds a caller may ask for; keep it well below the trigger's `eventTimeout`"
        ),
    ] = 20.0
    lock_wait_s: Annotated[
        float,
        Field(
            ge=0,
            description="seconds a request waits for another one on the same session before it gets 503",
        ),
    ] = 5.0
    worker_wait_s: Annotated[
        float,
        Field(ge=0, description="`siaf serve` only: seconds a request waits for the worker before it gets 503"),
    ] = 30.0
    max_body_bytes: Annotated[int, Field(ge=1024, description="largest request body")] = 64 * MIB
    max_pixels: Annotated[int, Field(ge=1, description="largest image, width × height")] = 40_000_000
    max_frames: Annotated[int, Field(ge=1, description="longest video of a session")] = 20_000
    max_points: Annotated[int, Field(ge=1, description="points in one call, over all clicks or strokes")] = 50_000
    max_object_pixels: Annotated[
        int,
        Field(ge=1, description="boxes, polygons or masks in one call × pixels of its image, if there are several"),
    ] = 320_000_000
    share_frames: Annotated[
        bool,
        Field(
            description="a click on a frame of an open session uses what that session knows, "
            "and a frame that another session has needs no upload"
        ),
    ] = True
    interactor_reply: Annotated[
        Literal["mask", "shapes", "both"],
        Field(
            description="`shapes`: small, several objects, with confidence, for CVAT from March 2026 on; "
            "`mask`: for older ones; `both`"
        ),
    ] = "shapes"
    absent_rectangle: Annotated[
        Literal["last", "null"],
        Field(description="tracker's answer for a rectangle whose object is absent; `null` may upset the community UI"),
    ] = "last"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="`siaf serve` only; Nuclio has its own"),
    ] = "info"

    @property
    def max_parts(self) -> int:
        """Lists, objects and keys in one JSON body: a stroke of one point has seven, a frame's digest three."""
        return 10 * (self.max_points + self.max_frames)

    @field_validator("weights", "short_side", "interaction_short_side", "feature_folder", "token", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("store")
    @classmethod
    def _known_store(cls, value: str) -> str:
        if value != "memory:" and not re.match("file:.|rediss?://|unix://", value):
            raise ValueError("must be memory:, file:DIR or redis://HOST:PORT/DB")
        return value


def load_settings() -> Settings:
    """Settings from `SIAF_…` variables. Raises SettingsError, one line that names the variable."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise SettingsError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None


def settings_table() -> str:
    """All settings as a markdown table: variable, default, meaning."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(settings_table(), end="")
