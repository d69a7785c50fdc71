"""Functions behind the stand-in: what a real CVAT 2.73.0 handed to them, and what it made of their replies."""

import copy
import json
from pathlib import Path
from typing import Any

from recorded import CALLS, Compared, ask, fill
from standin import StandIn
from standin_lambda import Function

Json = dict[str, Any]
TOKENS = {"c23": None, "d11": "stranger", "d14": "annot1", "d18": "read-only"}
ANY = ("rectangle", "polygon", "polyline", "points", "mask")


class Recorded:
    """A function that replies what the recorded one did; `payload` is what it was handed, without the image."""

    def __init__(self, reply: Json | None) -> None:
        self._reply = reply
        self.payload: Json | None = None

    def __call__(self, payload: Json) -> tuple[int, Any]:
        self.payload = {key: value for key, value in payload.items() if key != "image"}
        assert payload["image"]
        assert self._reply is not None, "the recorded server did not call it"
        if "fault" in self._reply:
            raise {"cut": ConnectionError, "silent": TimeoutError}[self._reply["fault"]]
        if "raw" in self._reply:
            return 200, self._reply["raw"].encode()
        return self._reply.get("status", 200), self._reply.get("json")


def test_every_recorded_call_is_handed_on_and_answered_as_recorded(tmp_path: Path) -> None:
    server = StandIn()
    fill(server.world, tmp_path)
    server.world.jobs[13].assignee = "annot1"
    signed: dict[str, str] = {}  # the recorded states are signed with another key
    for call in CALLS:
        function = Recorded(call["reply"])
        if call["function"] != "no-such":
            types = call.get("types", ANY)
            server.functions[call["function"]] = Function(call["function"], call["kind"], function, types)
        body = copy.deepcopy(call["body"])
        if body.get("states"):
            body["states"] = [signed.get(s, s) if isinstance(s, str) else s for s in body["states"]]
        url = f"{server.url}/api/lambda/functions/{call['function']}"
        status, answer = ask(url, "POST", body, TOKENS.get(call["name"][:3], "full"))
        try:
            assert status == call["status"]
            if call["payload"] is not None:
                assert function.payload == call["payload"]
            if status < 500 and "Error" not in str(call["answer"]):
                check(call["answer"], answer, signed)
        except AssertionError as error:
            raise AssertionError(f"{call['name']}: {error}\n{call}\n{answer}"[:3000]) from None


def check(recorded: Any, ours: Any, signed: dict[str, str]) -> None:
    """Signed states are compared without their signature; everything else as it is."""
    if isinstance(recorded, dict) and "states" in recorded:
        for theirs, mine in zip(recorded["states"], ours["states"], strict=True):
            assert repr(unsigned(theirs)) == repr(unsigned(mine))  # as text, because NaN equals nothing
            signed[theirs] = mine
        recorded, ours = ({k: v for k, v in answer.items() if k != "states"} for answer in (recorded, ours))
        assert recorded == ours
    else:
        Compared().check(recorded, ours)


def unsigned(state: str) -> Any:
    return json.loads(state.rsplit(":", 2)[0])
