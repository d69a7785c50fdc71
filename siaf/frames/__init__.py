"""Frames by number: of videos, picture files and arrays; the only place where encoded pictures become pixels."""
