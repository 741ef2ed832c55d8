"""How much memory there is: the machine's, or that of the container."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsr_tf.tiling.memory import available_bytes

MIB = 2**20


def machine(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal: 4096 kB\nMemAvailable:    2048 kB\n")
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/\n", {}, 2 * MIB),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/b/memory.current": "7"}, 2 * MIB),
        ("0::/a/b\n", {"a/memory.max": str(MIB), "a/memory.current": "100"}, MIB - 100),
        ("0::/gone\n", {"memory.max": str(MIB), "memory.current": str(2 * MIB)}, 0),
        (
            "5:cpu:/\n4:memory:/x\n0::/\n",
            {
                "memory/x/memory.limit_in_bytes": str(MIB),
                "memory/x/memory.usage_in_bytes": "1000",
                "memory/x/memory.stat": "cache 900\ntotal_inactive_file 400\n",
            },
            MIB - 600,
        ),
    ],
)
def test_the_smallest_limit_counts_less_what_is_used(
    cgroup: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    assert available_bytes(machine(tmp_path, cgroup, files)) == expected


def test_a_system_that_does_not_say_has_the_memory_of_the_machine(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) > 0
