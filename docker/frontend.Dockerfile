# The query frontend: Clipper's query frontend, management frontend and ZeroMQ frontend in one.
FROM model-comp/base
COPY files/ /
# A container's network is its own: who reaches a port is decided by whoever publishes it.
# The container's network is the boundary, as with Clipper's own images: SECURITY.md.
ENV CLIPPER_BIND=0.0.0.0 CLIPPER_INSECURE=1
# REST queries, REST administration; model servers of versions 3 and 4, of 2017, high-performance; ZeroMQ clients
EXPOSE 1337 1338 7000 7002 7010 7011 4455 4456
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/local/bin/frontend", "--healthcheck"]
ENTRYPOINT ["/usr/local/bin/frontend"]
