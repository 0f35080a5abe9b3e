# The site in one image: web, workers, beat and commands differ only in what is run (docker-compose.yml).
# docker build --build-arg APPLICATION_VERSION="$(git rev-parse HEAD)" -t ichrisbirch-backups .

# Debian vouches for the key of the PostgreSQL project: its own package carries it.
FROM python:3.13-slim-trixie AS key
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-common

FROM python:3.13-slim-trixie AS libraries
COPY requirements.txt .
RUN python -m venv /opt/site && /opt/site/bin/pip install --no-cache-dir --require-hashes --only-binary :all: --requirement requirements.txt

# An S3 server that is not root; docs/decisions/0014 says why this one.
FROM versity/versitygw:v1.7.0 AS s3
RUN install -d -o 10001 -g 10001 /data /data/buckets /data/versions
USER 10001:10001
VOLUME /data

FROM python:3.13-slim-trixie AS site
COPY --from=key /usr/share/postgresql-common/pgdg/apt.postgresql.org.asc /usr/share/keyrings/postgresql.asc
# pg_dump of a server's own major version for each that is supported, from the PostgreSQL project's own packages.
RUN . /etc/os-release \
    && echo "deb [signed-by=/usr/share/keyrings/postgresql.asc] https://apt.postgresql.org/pub/repos/apt $VERSION_CODENAME-pgdg main" \
        > /etc/apt/sources.list.d/postgresql.list \
    && apt-get update \
    && apt-get install --yes --no-install-recommends \
        postgresql-client-14 postgresql-client-15 postgresql-client-16 postgresql-client-17 postgresql-client-18 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 site && useradd --uid 10001 --gid site --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin site \
    && install -d -o site -g site /var/lib/backups /var/lib/scratch
COPY --from=libraries /opt/site /opt/site
ENV PATH=/opt/site/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /srv/site
COPY manage.py ./
COPY templates templates
COPY ichrisbirch_site ichrisbirch_site
COPY backups backups
# Whatever the settings ask for is made up here, and none of it stays.
RUN ICB_FOLDER=/tmp/icb python manage.py collectstatic --no-input --verbosity 0 && rm -r /tmp/icb \
    && python -m compileall -q backups ichrisbirch_site
ARG APPLICATION_VERSION=""
ENV APPLICATION_VERSION=$APPLICATION_VERSION \
    ENVIRONMENT=production \
    BACKUPS_LOCAL_FOLDER=/var/lib/backups \
    BACKUPS_SCRATCH_FOLDER=/var/lib/scratch
USER 10001:10001
EXPOSE 8000
CMD ["gunicorn", "ichrisbirch_site.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "8", "--worker-tmp-dir", "/dev/shm", "--no-control-socket"]
