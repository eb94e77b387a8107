# The query frontend: Clipper's query frontend, management frontend and ZeroMQ frontend in one.
FROM model-comp/base
COPY files/ /
# The container network is the security boundary, as with Clipper's own images: published ports decide who reaches the
# frontend. See SECURITY.md.
ENV CLIPPER_BIND=0.0.0.0 CLIPPER_INSECURE=1
# REST queries (1337) and administration (1338); model servers of versions 3 and 4 (7000), 2017 (7002) and high-performance
# (7010, 7011); ZeroMQ clients (4455, 4456)
EXPOSE 1337 1338 7000 7002 7010 7011 4455 4456
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/local/bin/frontend", "--healthcheck"]
ENTRYPOINT ["/usr/local/bin/frontend"]
