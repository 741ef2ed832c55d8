"""Several hosts that train one model together: who they are, who of them writes, and what they agree on.

The environment variable TF_CONFIG lists the hosts, as `tf.distribute.MultiWorkerMirroredStrategy` reads it:
each holds the whole model, computes the gradient of its share of the batch, and all-reduces it. The first
host (the chief) alone writes; the others get weights and optimiser from it, so no folder need be shared.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NoReturn

import tensorflow as tf

from hsr_tf import checks

VARIABLE = "TF_CONFIG"
EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'
JOBS = ("chief", "worker")


@dataclass(frozen=True)
class Hosts:
    """The hosts of a run, and which of them this is.

    Attributes:
        addresses: host:port of each, the chief first; none for a run of one host.
        index: this one.
    """

    addresses: tuple[str, ...] = ()
    index: int = 0

    @property
    def are_several(self) -> bool:
        """Whether there are others."""
        return len(self.addresses) > 1

    @property
    def is_chief(self) -> bool:
        """Whether this one writes."""
        return self.index == 0


def parse_hosts(text: str | None) -> Hosts:
    """The hosts that the text of TF_CONFIG tells; one host alone where there is none.

    Raises:
        ValueError: for text that is no JSON, jobs other than chief and worker, addresses that are not
            host:port or come twice, and a task that is not in the cluster.
    """
    if not text:
        return Hosts()
    try:
        config = json.loads(text)
        cluster, task = dict(config["cluster"]), dict(config["task"])
        job, index = str(task["type"]), int(task["index"])
    except (ValueError, TypeError, KeyError):
        _refuse(f"text like {EXAMPLE}", text[:200])
    _require(set(cluster) <= {*JOBS}, f"the jobs {' and '.join(JOBS)} alone", ", ".join(sorted(cluster)))
    _require(len(cluster.get("chief", [""])) == 1, "one chief at most", str(cluster.get("chief")))
    addresses = [str(address) for name in JOBS for address in cluster.get(name, [])]
    parts = [address.rpartition(":") for address in addresses]
    known = [bool(host) and port.isdecimal() and 0 < int(port) < 2**16 for host, _, port in parts]
    wrong = [address for address, is_known in zip(addresses, known, strict=True) if not is_known]
    _require(bool(addresses) and not wrong, "addresses host:port", ", ".join(wrong) or "none")
    _require(len({*addresses}) == len(addresses), "each address once", ", ".join(addresses))
    mine = cluster.get(job, [])
    expected = f"a task of the cluster, such as worker 0 to {len(cluster.get('worker', [])) - 1}"
    _require(0 <= index < len(mine), expected, f"{job} {index}")
    return Hosts(tuple(addresses), addresses.index(str(mine[index])))


def _require(holds: bool, expected: str, received: str) -> None:
    if not holds:
        _refuse(expected, received)


def _refuse(expected: str, received: str) -> NoReturn:
    raise checks.InputError(
        VARIABLE,
        expected=expected,
        received=received,
        remedy="correct it (docs/clusters.md shows one), or unset it to train on this host alone",
    )


def these_hosts() -> Hosts:
    """The hosts that the environment tells."""
    return parse_hosts(os.environ.get(VARIABLE))


@cache
def join_hosts() -> tf.distribute.Strategy:
    """The strategy of the run; where TF_CONFIG tells of several hosts, wait until all of them are there.

    Several accelerators of one host are used too; one device gets the default strategy. The first call must
    come before TensorFlow computes anything.

    Raises:
        ValueError: for a bad TF_CONFIG, or one whose hosts cannot be joined.
    """
    hosts = these_hosts()
    if not hosts.are_several:
        several = len(tf.config.list_physical_devices("GPU")) > 1
        return tf.distribute.MirroredStrategy() if several else tf.distribute.get_strategy()
    mine = hosts.addresses[hosts.index]
    sys.stderr.write(f"host {hosts.index + 1} of {len(hosts.addresses)} ({mine}): waiting for the others\n")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        _refuse(f"hosts that can be joined before anything is computed, {mine} among them", _line(error))


def shares_of(strategy: tf.distribute.Strategy, batch_size: int) -> int:
    """The number of equal shares that a batch is cut into.

    Raises:
        ValueError: where the batch cannot be shared equally.
    """
    number = int(strategy.num_replicas_in_sync)
    checks.require(
        batch_size % number == 0,
        "batch_size",
        expected=f"a multiple of {number}, the devices of all hosts that share a batch",
        received=str(batch_size),
        remedy="change it, or the number of devices",
    )
    return number


def told_by_chief(strategy: tf.distribute.Strategy, value: Any) -> Any:
    """The chief's value of a tensor, at every host; all of them must ask."""
    return _told_by_chief(strategy, [value])[0] if these_hosts().are_several else value


def take_from_chief(strategy: tf.distribute.Strategy, variables: Sequence[tf.Variable]) -> None:
    """Give variables the chief's values; all hosts must ask."""
    if these_hosts().are_several:
        values = _told_by_chief(strategy, [variable.read_value() for variable in variables])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def _told_by_chief(strategy: tf.distribute.Strategy, values: Sequence[Any]) -> list[Any]:
    tensors = [tf.convert_to_tensor(value) for value in values]
    sent = [tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.int64) for tensor in tensors]
    found = _exchange(strategy)(*sent)
    return [tf.cast(value, tensor.dtype) for value, tensor in zip(found, tensors, strict=True)]


@cache
def _exchange(strategy: tf.distribute.Strategy) -> Any:
    """Sums over the hosts, of which all but the chief's first device give zeros: exact, NaN and all."""

    def replica(*sent: Any) -> list[Any]:
        context = tf.distribute.get_replica_context()
        first = context.replica_id_in_sync_group == 0
        given = [tf.where(first, tensor, tf.zeros_like(tensor)) for tensor in sent]
        return [context.all_reduce(tf.distribute.ReduceOp.SUM, tensor) for tensor in given]

    def exchange(*sent: Any) -> list[Any]:
        results = strategy.run(replica, args=sent)
        return [strategy.experimental_local_results(result)[0] for result in results]

    return tf.function(exchange)


def wait_for_chief() -> None:
    """Let no host leave before the others have come to this point.

    Raises:
        ConnectionError: when one of them is gone.
    """
    try:
        int(told_by_chief(join_hosts(), 0))
    except tf.errors.OpError as error:
        raise ConnectionError(f"{VARIABLE}: another host is gone before the end ({_line(error)})") from None


def lost_host(error: Exception, step: int, saved: str) -> ConnectionError:
    """What is said when a step fails as a host is gone."""
    return ConnectionError(
        f"{VARIABLE}: another host is gone at step {step + 1} ({_line(error)}); start all of them again with "
        f"the same flags, and the run goes on from the checkpoint of step {saved}"
    )


def _line(error: Exception) -> str:
    """The reason in an error of TensorFlow, whose text begins with where it was."""
    text = " ".join(str(error).split())
    return text.rpartition("aborted by: ")[2][:160]
