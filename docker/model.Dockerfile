# A model server. files/ holds its program, its engine's libraries and, unless left out, its artifact.
FROM model-comp/base
COPY files/ /
# Default host name of the frontend in the container network.
ENV CLIPPER_IP=frontend
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=2m CMD ["/usr/local/bin/server", "--healthcheck"]
ENTRYPOINT ["/usr/local/bin/server"]
