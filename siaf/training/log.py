"""What a run writes for you to look at: log.csv, TensorBoard's events if it is installed, and sample pictures."""

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from siaf.files import atomic_write

COLUMNS = ("step", "loss", "gradient", "rate", "seconds")


class RunLog:
    """Log of a run in `folder`, which goes on at `step`: what an interrupted run wrote beyond it is dropped."""

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        self._csv = folder / "log.csv"
        rows = [row for row in _rows(self._csv) if int(row[0]) <= step]
        with atomic_write(self._csv) as file:
            file.write("".join(",".join(row) + "\n" for row in [COLUMNS, *rows]).encode())
        self._board: Any = None
        if find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, loss: float, gradient: float, rate: float, seconds: float) -> None:
        """One line after `step` steps. `gradient`: its norm before clipping; `seconds` since this process started."""
        with self._csv.open("a", newline="") as file:
            csv.writer(file).writerow([step, f"{loss:.4f}", f"{gradient:.3f}", f"{rate:.2e}", f"{seconds:.1f}"])
        if self._board:
            for name, value in (("loss", loss), ("gradient", gradient), ("rate", rate)):
                self._board.add_scalar(name, value, step)

    def picture(self, step: int, picture: NDArray[np.uint8]) -> None:
        """A picture, uint8 H×W×3 RGB, as samples/STEP.jpg and on TensorBoard."""
        folder = self._folder / "samples"
        folder.mkdir(exist_ok=True)
        _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]))
        with atomic_write(folder / f"{step:06d}.jpg") as file:
            file.write(jpeg.tobytes())
        if self._board:
            self._board.add_image("samples", picture, step, dataformats="HWC")
            self._board.flush()

    def close(self) -> None:
        """Finish TensorBoard's file."""
        if self._board:
            self._board.close()


def _rows(path: Path) -> list[list[str]]:
    """The lines of a log that are whole; a killed run may leave part of one."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [row for row in rows if len(row) == len(COLUMNS) and row[0].isdigit()]
