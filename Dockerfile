# The manager and the webhook as container images: make image
FROM rust:1.95-slim-trixie AS build
# The compiler of this image, instead of what rust-toolchain.toml would fetch.
ENV RUSTUP_TOOLCHAIN=1.95
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release -p manager && \
    cargo build --locked --release -p webhook && \
    cp target/release/insitu-manager target/release/insitu-webhook /

FROM debian:trixie-slim AS webhook
COPY --from=build /insitu-webhook /insitu-webhook
USER 65532:65532
ENTRYPOINT ["/insitu-webhook"]

FROM debian:trixie-slim AS manager
COPY --from=build /insitu-manager /insitu-manager
USER 65532:65532
ENTRYPOINT ["/insitu-manager"]
