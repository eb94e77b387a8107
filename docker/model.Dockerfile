# A model server; files/ holds its program, its engine's libraries and, if it is to be baked in, its artifact.
FROM model-comp/base
COPY files/ /
# The frontend's name in its network, if nothing else is said.
ENV CLIPPER_IP=frontend
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=5s --start-period=2m CMD ["/usr/local/bin/server", "--healthcheck"]
ENTRYPOINT ["/usr/local/bin/server"]
