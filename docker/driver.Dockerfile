# The driver, for machines with only Docker; docker/driver.sh runs it.
FROM model-comp/base
COPY files/ /
ENTRYPOINT ["/usr/local/bin/driver"]
