# The service in a container: docker build -t parallax . && docker run -p 127.0.0.1:8000:8000 -v parallax:/data parallax
# BASE is any Linux image with Python 3.11 and pip or venv (`make image` makes one from Debian's packages).
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
WORKDIR /build
COPY .ci/install.py .ci/
COPY pyproject.toml requirements.lock ./
# When pip has done its work, it and what `venv` brings with it have no place in the image.
RUN python3 .ci/install.py /opt/parallax serve \
    && /opt/parallax/bin/python -m pip uninstall --quiet --yes pip setuptools

FROM ${BASE}
LABEL org.opencontainers.image.title="Parallax" \
      org.opencontainers.image.description="Self-hosted image search by words and by pictures" \
      org.opencontainers.image.licenses="Apache-2.0"
ARG VERSION=
LABEL org.opencontainers.image.version="${VERSION}"

# A fixed number, so that the owner of a mounted folder can be set from outside.
RUN groupadd --gid 10001 parallax \
    && useradd --uid 10001 --gid parallax --no-create-home --home-dir /data --shell /usr/sbin/nologin parallax \
    && install --directory --owner parallax --group parallax /data
COPY --from=build /opt/parallax /opt/parallax
WORKDIR /srv/parallax
COPY LICENSE NOTICE ./
COPY model model
COPY app app

# PARALLAX_ALLOW_OPEN: inside the container every address is its own; who may reach the port is decided outside.
ENV PATH=/opt/parallax/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PARALLAX_HOST=0.0.0.0 \
    PARALLAX_PORT=8000 \
    PARALLAX_ALLOW_OPEN=1 \
    PARALLAX_DATA=/data
USER parallax
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# The first start adds the demo gallery; until then the service answers /livez and says on /readyz how far it is.
HEALTHCHECK --interval=10s --timeout=3s --start-period=2m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['PARALLAX_PORT'] + '/readyz', timeout=2)"]
ENTRYPOINT ["python", "-m", "app"]
CMD ["serve"]
