"""`siaf export`: masks of a saved session in the formats that other programs read."""

import argparse
from pathlib import Path

from siaf.commands.common import add_json_argument, print_result
from siaf.errors import InputError
from siaf.frames.source import open_video
from siaf.output.export.formats import EXPORTS, check_exports, write_exports
from siaf.output.export.saved import read_saved_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = (
        "davis: palette PNGs. overlay: an mp4 of the clip with its masks. cvat: annotations.xml, for images if --video "
        "is a folder of pictures. coco: run lengths and track ids. youtube-vis: JSON. mots: PNGs and txt. matte: a PNG "
        "of 0 and 255 for every object and frame. siaf: the session itself."
    )
    parser.add_argument("state", type=Path, metavar="STATE", help="the session, a .siaf file")
    parser.add_argument(
        "--as", dest="formats", required=True, metavar="FORMAT[,FORMAT]", help=f"one or more of: {', '.join(EXPORTS)}"
    )
    parser.add_argument(
        "--out",
        "-o",
        type=Path,
        required=True,
        metavar="PATH",
        help="file or folder to write; for several formats a folder that gets one entry for each",
    )
    parser.add_argument(
        "--video", metavar="VIDEO", help="the video or folder of pictures: for overlay, and for pictures' names"
    )
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Read, check, write."""
    names = list(dict.fromkeys(arguments.formats.split(",")))
    try:
        check_exports(arguments.out, names, has_video=arguments.video is not None)
        saved = read_saved_file(arguments.state, open_video(arguments.video) if arguments.video is not None else None)
        notes = write_exports(arguments.out, saved, names)
    except InputError as error:
        place = {"as": "--as", "video": "--video", "out": "--out", "state": str(arguments.state)}
        raise InputError(error.message, field=place.get(error.field, error.field)) from None
    shown = saved.written
    print_result(
        {
            "out": str(arguments.out),
            "as": names,
            "objects": saved.labels,
            "frames": saved.masks.frames,
            "written": len(shown),
            "notes": notes,
        },
        [
            f"{len(saved.named)} objects on {len(shown)} of {saved.masks.frames} frames, as {', '.join(names)}, "
            f"in {arguments.out}",
            *(f"note: {note}" for note in notes),
        ],
        arguments.json,
    )
