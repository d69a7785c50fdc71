# syntax=docker/dockerfile:1.7
#
# base:      Python, torch, siaf and its weights. `nuctl deploy` puts Nuclio's processor on top of it (function.yaml).
# processor: the same with the processor inside, for registries: `nuctl deploy --run-image` (deploy/deploy.sh --registry).
#
# CPU or CUDA: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu  or  =https://pypi.org/simple
# With the packages of EdgeTAM and SAM 2.1 (docs/engines.md): --build-arg SAM2=yes
# Reproducible to the byte only with PYTHON_IMAGE pinned by digest: --build-arg PYTHON_IMAGE=python@sha256:…
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm
# Must be the version of the Nuclio dashboard that CVAT talks to.
ARG NUCLIO_VERSION=1.14.1

FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY siaf siaf
COPY function function
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM ${PYTHON_IMAGE} AS base
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

# torch alone first and from its own index, so that this index can never answer for any other package.
RUN --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    python -m pip install --no-deps --index-url "${TORCH_INDEX}" --constraint /tmp/requirements.txt torch torchvision
# The same pins as requirements.txt, file by file as they were when they were pinned.
RUN --mount=type=bind,source=deploy/requirements-hashed.txt,target=/tmp/requirements-hashed.txt \
    python -m pip install --require-hashes --requirement /tmp/requirements-hashed.txt
# What is left is what torch's CUDA build brings along; for a CPU, nothing.
RUN --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    --mount=type=bind,source=deploy/constraints-cuda.txt,target=/tmp/constraints-cuda.txt \
    python -m pip install --requirement /tmp/requirements.txt --constraint /tmp/constraints-cuda.txt
ARG SAM2=
RUN --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    --mount=type=bind,source=deploy/requirements-sam2.txt,target=/tmp/requirements-sam2.txt \
    if [ -n "${SAM2}" ]; then \
        python -m pip install --no-deps --requirement /tmp/requirements-sam2.txt --constraint /tmp/requirements.txt \
        && python -c "import transformers, timm"; \
    fi
RUN --mount=type=bind,from=wheel,source=/wheels,target=/tmp/wheels \
    python -m pip install --no-deps /tmp/wheels/*.whl && python -m pip check

# The state directory is for SIAF_STORE=file:/var/lib/siaf/state, where a volume is mounted.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin siaf \
    && install --directory --owner=siaf --group=siaf /var/lib/siaf /var/lib/siaf/state
USER 10001:10001
WORKDIR /var/lib/siaf
# A missing shared library must fail the build, not the first deployment.
RUN python -c "import function.main, siaf.commands.demo, siaf.cvat.commands"

ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="siaf-cvat" \
      org.opencontainers.image.description="Interactive video object segmentation from scribbles, for CVAT" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM quay.io/nuclio/handler-builder-python-onbuild:${NUCLIO_VERSION}-${TARGETARCH:-amd64} AS onbuild

FROM base AS processor
COPY --from=onbuild /home/nuclio/bin/processor /usr/local/bin/processor
COPY --from=onbuild /home/nuclio/bin/py /opt/nuclio/
USER 0:0
# The folder of wheels holds one version of each: the one that this processor's wrapper was made for.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=onbuild,source=/home/nuclio/bin/py3.11-whl,target=/tmp/whl \
    python -m pip install --no-index --find-links /tmp/whl nuclio-sdk msgpack \
    && chmod -R a+rX /opt/nuclio
USER 10001:10001
WORKDIR /opt/nuclio
# Without a HEALTHCHECK a container never becomes ready on Nuclio's local platform.
HEALTHCHECK --interval=2s --timeout=3s --start-period=300s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8082/ready', timeout=2)"]
CMD ["processor"]
