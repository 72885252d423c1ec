# assay on a CPU; docs/installing.md says how to build and run it.
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS build
# PyTorch's CPU builds. An empty value takes PyPI's builds, which bring the GPU libraries.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1
COPY . /source
RUN /source/docker/install.sh /opt/assay

FROM python:${PYTHON_VERSION}-slim
LABEL org.opencontainers.image.title="assay" \
      org.opencontainers.image.licenses="Apache-2.0"
# The home holds all that is kept: the lake, weights, measurements of backends, Prefect's settings.
RUN useradd --uid 10001 --create-home --home-dir /srv/assay assay
COPY --from=build /opt/assay /opt/assay
COPY --chmod=755 docker/entrypoint.sh /usr/local/bin/assay-entrypoint
ENV PATH=/opt/assay/bin:$PATH \
    ASSAY_LAKE=/srv/assay/lake
USER 10001
WORKDIR /srv/assay
VOLUME ["/srv/assay"]
ENTRYPOINT ["assay-entrypoint"]
