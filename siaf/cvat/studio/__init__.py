"""The studio on a CVAT job."""
