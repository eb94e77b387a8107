"""A user's session with PyPI's clipper-admin, against a running frontend.

Arguments: host:port of the query API, host:port of the admin API. The script fails at the first deviation.
"""

import logging
import sys

from clipper_admin import ClipperConnection, ClipperException
from clipper_admin.container_manager import ContainerManager

IMAGE = "registry.example/noop:1"


class RunningClipper(ContainerManager):
    """A manager without containers of its own: it records calls and returns the addresses."""

    cluster_identifier = "running"

    def __init__(self, query, admin):
        self.query, self.admin = query, admin
        self.deployed, self.stopped = [], []

    def connect(self):
        pass

    def deploy_model(self, name, version, input_type, image, num_replicas=1, **_):
        self.deployed.append((name, version, input_type, image, num_replicas))

    def stop_models(self, models):
        self.stopped.append(models)

    def get_admin_addr(self):
        return self.admin

    def get_query_addr(self):
        return self.query


def assert_refused(act, text):
    """Fails unless `act` raises an error with the frontend's text."""
    try:
        act()
    except ClipperException as error:
        assert text in str(error), error
    else:
        raise AssertionError("not refused: " + text)


def applications(clipper):
    clipper.register_application("hello", "doubles", "-1.0", 100000)
    assert_refused(
        lambda: clipper.register_application("hello", "doubles", "-1.0", 100000),
        "code: 400 and message: application 'hello' already exists",
    )
    assert clipper.get_all_apps() == ["hello"]
    app = {
        "input_type": "doubles",
        "default_output": "-1.0",
        "latency_slo_micros": 100000,
        "name": "hello",
        "linked_models": [],
    }
    assert clipper.get_app_info("hello") == app
    assert clipper.get_all_apps(verbose=True) == [app]
    assert clipper.get_app_info("missing") is None


def models(clipper, manager):
    # clipper-admin's deploy_model starts containers first, then registers the model.
    clipper.deploy_model("noop", "1", "doubles", IMAGE, labels=["a", "b"], num_replicas=2)
    assert manager.deployed == [("noop", "1", "doubles", IMAGE, 2)]
    clipper.register_model("noop", 2, "doubles", batch_size=4)
    assert_refused(
        lambda: clipper.register_model("noop", 2, "doubles"),
        "model with name 'noop' and version '2' already exists",
    )
    assert sorted(clipper.get_all_models()) == ["noop:1", "noop:2"]
    assert clipper.get_current_model_version("noop") == "2"
    assert clipper.get_model_info("noop", "1") == {
        "model_name": "noop",
        "model_version": "1",
        "input_type": "doubles",
        "labels": ["a", "b"],
        "container_name": IMAGE,
        "model_data_path": "DEPRECATED",
        "is_current_version": False,
    }
    assert clipper.get_model_info("noop", "9") is None
    clipper.link_model_to_app("hello", "noop")
    assert_refused(
        lambda: clipper.link_model_to_app("hello", "noop"),
        "The model with name 'noop' is already linked to 'hello'",
    )
    assert clipper.get_linked_models("hello") == ["noop"]
    clipper.set_model_version("noop", "1")
    assert clipper.get_current_model_version("noop") == "1"
    assert_refused(
        lambda: clipper.set_model_version("noop", "9"),
        "Cannot set non-existent version '9' for model with name 'noop'",
    )


def replicas(clipper):
    """Checks the one replica that the test runs, of version 1."""
    assert clipper.get_all_model_replicas() == ["noop:1:0"]
    replica = {
        "model_id": "noop:1",
        "model_name": "noop",
        "model_version": "1",
        "model_replica_id": 0,
        "input_type": "doubles",
    }
    assert clipper.get_all_model_replicas(verbose=True) == [replica]
    assert clipper.get_model_replica_info("noop", "1", 0) == replica
    assert clipper.get_model_replica_info("noop", "1", 7) is None
    assert clipper.inspect_instance()["counters"]


def deletions(clipper, manager):
    clipper.unlink_model_from_app("hello", "noop")
    assert clipper.get_linked_models("hello") == []
    clipper.stop_inactive_model_versions(["noop"])
    assert clipper.get_all_models() == ["noop:1"]
    clipper.stop_models(["noop"])
    assert manager.stopped == [{"noop": ["2"]}, {"noop": ["1"]}]
    assert clipper.get_all_models() == []
    assert clipper.get_all_model_replicas() == []
    clipper.delete_application("hello")
    assert clipper.get_all_apps() == []


def main():
    logging.disable(logging.CRITICAL)
    manager = RunningClipper(*sys.argv[1:])
    clipper = ClipperConnection(manager)
    clipper.connect()
    applications(clipper)
    models(clipper, manager)
    replicas(clipper)
    deletions(clipper, manager)


main()
