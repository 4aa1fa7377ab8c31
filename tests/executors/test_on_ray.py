"""A Ray cluster that is not there is said at once."""

from __future__ import annotations

import socket

import pytest

from stackclip.errors import UsageError
from stackclip.executors.on_ray import OnRay, _cluster


class NoRay:
    """A Ray that must not be asked."""

    def is_initialized(self) -> bool:
        return False

    def init(self, **_: object) -> None:
        raise AssertionError("asked for minutes")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_cluster_that_nobody_answers_for_is_not_waited_for(host: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # it is bound, and nobody listens
        with (
            pytest.raises(UsageError, match=f"no Ray cluster at {host}:{port}: "),
            _cluster(NoRay(), OnRay(address=f"{host}:{port}")),
        ):
            pass


def test_a_port_that_cannot_be_is_no_cluster() -> None:
    with (
        pytest.raises(UsageError, match="no Ray cluster at localhost:99999999: "),
        _cluster(NoRay(), OnRay(address="localhost:99999999")),
    ):
        pass
