"""A session's data, or masks alone, as the bytes of a state file."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as save_tensors
from torch import Tensor

from siaf.boxes import Box
from siaf.model.propagation import FrameMemory
from siaf.scribbles import Scribble
from siaf.session.adaptation import Decoder
from siaf.session.annotations import Annotations
from siaf.session.mask_store import MaskStore
from siaf.session.snapshot import SessionMasks, SessionSnapshot
from siaf.session.state_document import FORMAT, MASKS_ONLY, VERSION
from siaf.session.window_state import named_windows


def dump_snapshot(snapshot: SessionSnapshot) -> bytes:
    """A session's data as the bytes of a state file."""
    masks, decoders = _MaskTable(), _DecoderTable()
    tensors: dict[str, Tensor] = {}
    running = snapshot.propagation
    for frame, memory in running.memory.items():
        _put_memory(tensors, f"memory.{frame}", memory)
    for i, memory in enumerate(running.carried):
        _put_memory(tensors, f"carried.{i}", memory)
    for lane, chain in running.lanes.items():
        _put_memory(tensors, f"lane.{lane}.short", chain.short)
        for i, memory in enumerate(chain.transient):
            _put_memory(tensors, f"lane.{lane}.transient.{i}", memory)
        if chain.trail is not None:
            tensors |= {f"lane.{lane}.trail.{name}": tensor for name, tensor in chain.trail.named().items()}
        tensors |= {f"lane.{lane}.window.{name}": tensor for name, tensor in named_windows(chain.windows).items()}
    within = running.plan.within
    document = {
        "format": FORMAT,
        "version": VERSION,
        "model": snapshot.model.name,
        "weights": snapshot.model.digest,
        "short_side": snapshot.model.short_side,
        "autocast": snapshot.model.autocast,
        "objects_per_pass": snapshot.model.objects_per_pass,
        "frames": snapshot.frames,
        "height": snapshot.height,
        "width": snapshot.width,
        "grid": list(snapshot.grid),
        "revision": snapshot.revision,
        "digests": {str(f): digest for f, digest in snapshot.digests.items()},
        "rounds": [
            {
                "scribbles": {str(f): [_stroke(s) for s in strokes] for f, strokes in past.scribbles.items()},
                "references": past.references,
                "before": _annotations_entry(past.before, masks, decoders),
                **({"boxes": _boxes_entry(past.boxes)} if past.boxes else {}),
            }
            for past in snapshot.rounds
        ],
        "now": _annotations_entry(snapshot.annotations, masks, decoders),
        "results": masks.add(running.results),
        "confidence": {str(f): {str(t): c for t, c in scores.items()} for f, scores in running.confidence.items()},
        "remembered": {str(f): [masks.index(mask), groups] for f, (mask, groups) in running.remembered.items()},
        "plan": {
            "stages": [[[c.source, list(c.frames), sorted(c.adopts)] for c in s] for s in running.plan.stages],
            "at": running.plan.at,
            "lanes": {str(lane): [len(c.transient), c.since_transient, c.taken] for lane, c in running.lanes.items()},
            **({} if within is None else {"within": [within.start, within.stop]}),
            **({"barriers": list(running.barriers.at)} if running.barriers.at else {}),
        },
        "lost": {str(frame): {str(t): gone for t, gone in lost.items()} for frame, lost in running.lost.items()},
        "made": {str(frame): made for frame, made in running.made.items()},
        "walked": running.walked,
    }
    for number, change in enumerate(decoders.changes):
        tensors |= {f"decoder.{number}.{name}": tensor for name, tensor in change.items()}
    return _pack(document, masks, tensors)


def dump_masks(masks: SessionMasks) -> bytes:
    """Masks alone in the form of a state file, for `read_masks`: no session can go on from it."""
    table = _MaskTable()
    drawn = set(masks.interacted)
    numbers = {frame: table.index(masks.masks.packed(frame)) for frame in masks.masks}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "model": MASKS_ONLY,
        "frames": masks.frames,
        "height": masks.height,
        "width": masks.width,
        "digests": {},
        "results": {str(f): n for f, n in numbers.items() if f not in drawn},
        "now": {"masks": {str(f): n for f, n in numbers.items() if f in drawn}},
        "confidence": {str(f): {str(t): c for t, c in scores.items()} for f, scores in masks.confidence.items()},
    }
    return _pack(document, table, {})


def _pack(document: dict[str, Any], masks: "_MaskTable", tensors: dict[str, Tensor]) -> bytes:
    tensors |= {f"mask.{i}": torch.frombuffer(bytearray(blob), dtype=torch.uint8) for i, blob in enumerate(masks.blobs)}
    # Cloned, because a frame may be short-term and transient memory at once, and the format forbids shared storage.
    # One metadata entry: with several, safetensors writes them in random order, and equal sessions would differ.
    return save_tensors({k: v.cpu().contiguous().clone() for k, v in tensors.items()}, {"siaf": json.dumps(document)})


class _MaskTable:
    """Every distinct packed mask once; stores become frame → number."""

    def __init__(self) -> None:
        self.blobs: list[bytes] = []
        self._numbers: dict[bytes, int] = {}

    def index(self, blob: bytes) -> int:
        if blob not in self._numbers:
            self._numbers[blob] = len(self.blobs)
            self.blobs.append(blob)
        return self._numbers[blob]

    def add(self, store: MaskStore) -> dict[str, int]:
        return {str(frame): self.index(store.packed(frame)) for frame in store}


class _DecoderTable:
    """Every distinct change of the decoder once; rounds share theirs until the next adaptation."""

    def __init__(self) -> None:
        self.changes: list[Mapping[str, Tensor]] = []
        self._numbers: dict[str, int] = {}

    def entry(self, decoder: Decoder) -> dict[str, Any]:
        if decoder.change is None:
            return {"content": decoder.content, "change": None}
        if decoder.version not in self._numbers:
            self._numbers[decoder.version] = len(self.changes)
            self.changes.append(decoder.change)
        return {"content": decoder.content, "change": self._numbers[decoder.version]}


def _put_memory(tensors: dict[str, Tensor], name: str, memory: FrameMemory) -> None:
    for layer, (key, value) in enumerate(memory):
        tensors[f"{name}.{layer}.key"], tensors[f"{name}.{layer}.value"] = key, value


def _boxes_entry(boxes: dict[int, dict[int, Box]]) -> dict[str, dict[str, Box]]:
    return {str(frame): {str(tag): box for tag, box in by_tag.items()} for frame, by_tag in boxes.items()}


def _stroke(stroke: Scribble) -> dict[str, Any]:
    return {**asdict(stroke), "points": np.asarray(stroke.points).tolist()}


def _annotations_entry(annotations: Annotations, masks: _MaskTable, decoders: _DecoderTable) -> dict[str, Any]:
    return {
        "masks": masks.add(annotations.masks),
        "known": {str(f): sorted(tags) for f, tags in annotations.annotated_tags.items()},
        "interacted": {str(f): number for f, number in annotations.interacted.items()},
        "human": sorted(annotations.human),
        "adopted": {str(f): sorted(tags) for f, tags in annotations.adopted.items()},
        "places": annotations.objects.places(),
        "objects": [asdict(annotations.objects[tag]) for tag in annotations.objects.tags],
        **({} if annotations.decoder is None else {"decoder": decoders.entry(annotations.decoder)}),
    }
