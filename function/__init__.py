"""The Nuclio function: CVAT's interactor and tracker contracts and the rounds API, thin over `siaf`."""
