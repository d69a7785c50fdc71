"""What the shapes of a round say together."""

from dataclasses import dataclass, field

import numpy as np

from function.shapes import Shape, as_prompt
from siaf.boxes import Box
from siaf.masks import IndexMask, decode_rle
from siaf.scribbles import Scribble


@dataclass
class RoundShapes:
    """The shapes of a round, sorted as `Session.interact` takes them: by frame, and boxes by tag too."""

    height: int
    width: int
    scribbles: dict[int, list[Scribble]] = field(default_factory=dict)
    references: dict[int, IndexMask] = field(default_factory=dict)
    boxes: dict[int, dict[int, Box]] = field(default_factory=dict)
    about: dict[int, set[int]] = field(default_factory=dict)

    def add(self, number: int, shape: Shape, name: str) -> None:
        """Take a shape of a frame. Raises InputError naming `name`.points."""
        if shape.reference:
            self._reference(number)
            if shape.about is not None:
                self.about.setdefault(number, set()).update(shape.about)
            return
        prompt = as_prompt(shape, shape.tag or 0, self.height, self.width, name)
        if prompt.rle is not None:
            mask = decode_rle(prompt.rle, height=self.height, width=self.width)
            self._reference(number)[mask] = prompt.tag
        if prompt.box is not None:
            self.boxes.setdefault(number, {})[prompt.tag] = prompt.box
        if prompt.strokes:
            self.scribbles.setdefault(number, []).extend(prompt.strokes)

    def _reference(self, number: int) -> IndexMask:
        return self.references.setdefault(number, np.zeros((self.height, self.width), np.uint8))
