"""Health and metadata as the Open Inference Protocol has them (`/v2`), for orchestrators and monitors that know it."""

from function.http.messages import Busy, Reply, Request
from function.http.schemas import LiveReply, ModelReply, ReadyReply, TensorModel
from function.store import Store, Unavailable
from siaf.version import siaf_version

MODEL = "siaf"
_KEY, _KEPT_S = "health", 60.0

# What CVAT's interactor call takes and gives; -1 is any length.
_INPUTS = [
    TensorModel(name="image", datatype="BYTES", shape=[1]),
    TensorModel(name="pos_points", datatype="FP32", shape=[-1, 2]),
    TensorModel(name="neg_points", datatype="FP32", shape=[-1, 2]),
    TensorModel(name="obj_bbox", datatype="FP32", shape=[-1, 2]),
]
_OUTPUTS = [TensorModel(name="mask", datatype="UINT8", shape=[-1, -1])]


class Health:
    """Calls that no work stands behind: they may be answered beside a request that is being worked on."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def live(self, request: Request) -> Reply:
        """The process answers."""
        return Reply(LiveReply(live=True).model_dump_json())

    def ready(self, request: Request) -> Reply:
        """The model is loaded, or there would be no answer; and the store can be written to. Raises Busy if not."""
        try:
            self._store.put(_KEY, b"", _KEPT_S)
        except Unavailable as error:
            raise Busy(f"the session store is unavailable: {error}") from None
        return Reply(ReadyReply(ready=True).model_dump_json())

    def model(self, request: Request) -> Reply:
        """What takes part in inference."""
        reply = ModelReply(
            name=MODEL, versions=[siaf_version()], platform="pytorch_safetensors", inputs=_INPUTS, outputs=_OUTPUTS
        )
        return Reply(reply.model_dump_json())
