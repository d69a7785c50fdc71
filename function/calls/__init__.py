"""What the calls do: CVAT's interactor and tracker, sessions over HTTP, rounds through CVAT."""
