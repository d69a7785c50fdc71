"""From a name to a loaded model."""

import hashlib
from dataclasses import replace
from importlib import resources
from pathlib import Path

import torch

from siaf.engines.base import Engine
from siaf.errors import InputError, StateError
from siaf.model.config import INTERACTION, PROPAGATION
from siaf.model.folding import for_inference
from siaf.model.gated import build_propagation
from siaf.model.interaction import InteractionNet
from siaf.model.loaded import Model
from siaf.model.names import DEFAULT_PROPAGATION
from siaf.model.sam import SegmentAnything
from siaf.model.segmenter import Segmenter
from siaf.model.threads import limit_threads
from siaf.weights.catalogue import BEST, CATALOGUE
from siaf.weights.engines import ENGINES, load_engine
from siaf.weights.files import file_digest, load_checked, read_parts, weights_info
from siaf.weights.folder import weights_folder
from siaf.weights.hub import PREFIX, from_hub

MODELS = DEFAULT_PROPAGATION
SEGMENTER = "mobilesam"


def load_model(
    name: str = "siaf-t",
    *,
    device: str | torch.device = "auto",
    weights: str | Path | None = None,
    propagation: str | Path | None = None,
    interaction: str | Path | None = None,
) -> Engine:
    """Load a model ready for `siaf.Session`: one of siaf's own networks (`load_networks`), or another engine.

    `name`: as of `load_networks`, or one of `siaf.weights.engines.ENGINES`, whose `weights` are a folder of their
    published files. Raises as `load_networks`, and SiafError if an engine needs what is not installed.
    """
    if name not in ENGINES:
        return load_networks(name, device=device, weights=weights, propagation=propagation, interaction=interaction)
    for field, given in (("propagation", propagation), ("interaction", interaction)):
        if given is not None:
            raise InputError(f"{name} has no network to replace", field=field)
    return load_engine(name, device=device, weights=weights)


def load_networks(
    name: str = "siaf-t",
    *,
    device: str | torch.device = "auto",
    weights: str | Path | None = None,
    propagation: str | Path | None = None,
    interaction: str | Path | None = None,
) -> Model:
    """Load a model of siaf's own networks.

    `name`: one of `MODELS`; or "best", the most accurate one that `siaf weights best` has brought to this machine; or
    "hf:ORG/NAME", whose file a model hub has (`siaf.weights.hub`). The model's own `name` is one of `MODELS` always.

    `weights`, `propagation` and `interaction` are each a weights file or the name of weights that ship with siaf or
    lie in the weights folder (`weights_folder`); the latter two replace one network of the model. `weights` is by
    default the model's own name. Any interaction network goes with any propagation network, but the propagation
    network must have the encoder of the model's own. `device` "auto" takes the GPU if there is one. Every model comes
    with the segmenter that ships (`load_segmenter`).

    Raises InputError for an unknown name or missing weights, StateError for weights that do not fit.
    """
    name, weights = _chosen(name, weights)
    model_file = None
    if propagation is None or interaction is None:
        model_file = find_weights(weights if weights is not None else name, "weights")
        if (model := weights_info(model_file).get("model")) != name:
            raise StateError(f"weights of {model!r}, not of {name!r}", field=str(model_file))
    chosen = {"interaction": interaction, "propagation": propagation}
    paths = {part: find_weights(source, part) for part, source in chosen.items() if source is not None}
    if model_file is not None:
        paths = {part: paths.get(part, model_file) for part in chosen}
    files = {path: read_parts(path) for path in set(paths.values())}
    for part, path in paths.items():
        if part not in files[path]:
            raise StateError(f"holds {', '.join(files[path])}, but no {part} network", field=str(path))
    parts = {part: files[path][part] for part, path in paths.items()}
    check_encoder(name, parts["propagation"].architecture)
    built = _build(name, parts["interaction"].architecture, parts["propagation"].architecture, device)
    if not any(name.startswith("boundary.") for name in parts["propagation"].tensors):
        built.propagation.boundary = None  # weights from before there was such a thing go without
    for part, net in (("interaction", built.interaction), ("propagation", built.propagation)):
        load_checked(net, parts[part].tensors, f"{paths[part]}:{part}")
        for_inference(net)
    if built.device.type == "cpu":
        limit_threads()
    digests = [file_digest(paths["interaction"]), file_digest(paths["propagation"])]
    both = hashlib.blake2b(":".join(digests).encode(), digest_size=16).hexdigest()
    digest = digests[0] if len(files) == 1 else both
    return replace(built, digest=digest, segmenter=load_segmenter(built.device))


def load_segmenter(device: torch.device, path: Path | None = None) -> Segmenter | None:
    """The MobileSAM of a weights file, by default the package's, None if that has none. StateError for a misfit."""
    path = path or packaged_weights(SEGMENTER)
    if path is None:
        return None
    net = SegmentAnything()
    load_checked(net, read_parts(path)["segmenter"].tensors, f"{path}:segmenter")
    net.to(device).eval().requires_grad_(False)
    for_inference(net)
    return Segmenter(net, device)


def check_encoder(name: str, architecture: str) -> None:
    """StateError unless a propagation network of this architecture may stand in the model `name`."""
    encoder = PROPAGATION[MODELS[name]].encoder
    if PROPAGATION[architecture].encoder != encoder:
        fitting = ", ".join(k for k, config in PROPAGATION.items() if config.encoder == encoder)
        raise StateError(
            f"{architecture} is not a propagation network of {name}; these are: {fitting}", field="propagation"
        )


def build_model(name: str, *, device: str | torch.device = "auto", seed: int = 0) -> Model:
    """A model with random weights, always the same for a seed; its digest says so."""
    _check_name(name)
    return _build(name, name, MODELS[name], device, seed)


def packaged_weights(name: str) -> Path | None:
    """The weights file that ships in the package, if there is one for this model."""
    path = Path(str(resources.files("siaf"))) / "weights_data" / f"{name}.safetensors"
    return path if path.is_file() else None


def find_weights(source: str | Path, field: str = "weights") -> Path:
    """The file behind a path or a name. InputError, naming `field`, says how to get it."""
    if isinstance(source, str):
        for path in (packaged_weights(source), weights_folder() / f"{source}.safetensors"):
            if path is not None and path.is_file():
                return path
        if source in CATALOGUE:
            raise InputError(f"{source} is not on this machine; run: siaf weights fetch {source}", field=field)
        if source in MODELS:
            raise InputError(
                f"siaf comes with no weights of {source}; pass a file, or an interaction and a propagation network",
                field=field,
            )
    if not Path(source).is_file():
        raise InputError(f"no such file: {source}", field=field)
    return Path(source)


def _chosen(name: str, weights: str | Path | None) -> tuple[str, str | Path | None]:
    """A model's own name, and its weights."""
    if name != "best" and not name.startswith(PREFIX):
        _check_name(name)
        return name, weights
    if weights is not None:
        raise InputError(f"the model {name!r} brings its own", field="weights")
    if name == "best":
        here = [model for model in BEST if (weights_folder() / f"{model}.safetensors").is_file()]
        if not here:
            raise InputError("no better weights than siaf-t's are here; run: siaf weights best", field="model")
        return here[0], None
    path = from_hub(name)
    model = weights_info(path).get("model")
    if model not in MODELS:
        raise StateError(f"holds no model of siaf's ({model!r}); known: {', '.join(MODELS)}", field=name)
    return model, path


def _check_name(name: str) -> None:
    if name in ENGINES:
        raise InputError(f"{name} is another engine; this is about siaf's own networks only", field="model")
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known: {', '.join(MODELS)}", field="model")


def _build(name: str, interaction: str, propagation: str, device: str | torch.device, seed: int = 0) -> Model:
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        nets = InteractionNet(INTERACTION[interaction]), build_propagation(PROPAGATION[propagation])
    for net in nets:
        net.to(device).eval().requires_grad_(False)
    return Model(
        name,
        f"random-{seed}",
        *nets,
        device=torch.device(device),
        short_side=PROPAGATION[propagation].short_side,
        interaction_short_side=INTERACTION[interaction].short_side,
        objects_per_pass=PROPAGATION[propagation].objects_per_pass,
    )
