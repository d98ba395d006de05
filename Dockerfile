# Tenantry in one image:  docker build -t tenantry . && docker run -p 8080:8080 -v tenantry:/data tenantry
FROM rust:1.95-slim-bookworm AS build
# perl and make are for OpenSSL, which `pg-tls` compiles into the binary.
RUN apt-get update \
 && apt-get install -y --no-install-recommends perl make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The dependencies alone first, around an empty program: a layer that lasts until Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
 && echo '//! Empty.' > src/lib.rs \
 && printf '//! Empty.\nfn main() {}\n' > src/main.rs \
 && cargo build --release --locked --features pg-tls \
 && rm -rf src
COPY . .
# Cargo goes by the time of files: ours may be older than the empty program.
RUN touch src/lib.rs src/main.rs \
 && cargo build --release --locked --features pg-tls \
 && mkdir /out \
 && cp target/release/tenantry /out/

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin tenantry \
 && install -d -m 0700 -o tenantry -g tenantry /data
COPY --from=build /out/tenantry /usr/local/bin/tenantry
# Inside a container every address is the container's own; what is published decides who may come.
# The OpenSSL that is compiled in looks for the system's authorities where this says (`sslrootcert=system`).
ENV TENANTRY_SERVER__BIND=0.0.0.0:8080 \
    TENANTRY_DATA_DIR=/data \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /data
USER tenantry
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["tenantry", "healthcheck"]
ENTRYPOINT ["tenantry"]
CMD ["serve"]
