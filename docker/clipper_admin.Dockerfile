# The images that Clipper's own tool starts beside the frontends. The exporter is ours and only forwards, because the query
# frontend serves Prometheus' format itself. The other two replace redis:alpine and prom/prometheus if they cannot be pulled.
ARG BASE=debian:bookworm-slim
FROM $BASE AS exporter
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends socat >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt
USER 65532:65532
EXPOSE 1390
# Its arguments are `--query_frontend_name HOST:1337`.
ENTRYPOINT ["sh", "-c", "exec socat TCP-LISTEN:1390,fork,reuseaddr TCP:$2", "exporter"]

FROM $BASE AS redis
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends redis-server >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt
USER redis
EXPOSE 6379
# As in redis:alpine, the container network is trusted.
ENTRYPOINT ["sh", "-c", "exec \"$@\" --protected-mode no --save '' --dir /tmp", "redis"]
CMD ["redis-server"]

FROM $BASE AS prometheus
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt
EXPOSE 9090
WORKDIR /prometheus
ENTRYPOINT ["prometheus"]
