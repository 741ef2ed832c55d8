"""Errors about input are data: their fields say what their one line says, in every process."""

from __future__ import annotations

import copy
import errno
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hsr_tf import checks
from hsr_tf.checks import FileError, InputError, file_error
from hsr_tf.files import replacing_file
from hsr_tf.findings import ERROR, Finding, error_finding
from hsr_tf.io.source import decoding

LINE = "scale: expected a positive integer, got -2; write e.g. --scale=4"
FILE_LINE = "a/cube.h5: is damaged; fetch it again"


class OwnInputError(InputError):
    """An error of another package."""


def input_error(kind: type[InputError] = InputError) -> InputError:
    return kind("scale", expected="a positive integer", received=-2, remedy="write e.g. --scale=4")


def raising(error: Exception) -> None:
    raise error


def fields(error: Exception) -> dict[str, object]:
    names = ("argument", "expected", "received", "remedy", "path", "problem", "errno")
    return {name: getattr(error, name) for name in names if hasattr(error, name)}


@pytest.mark.parametrize("received", [-2, "-2"])
def test_an_input_error_is_a_value_error_of_one_line(received: object) -> None:
    with pytest.raises(ValueError) as caught:
        checks.require(
            False,
            "scale",
            expected="a positive integer",
            received=received,
            remedy="write e.g. --scale=4",
        )
    error = caught.value
    assert isinstance(error, InputError)
    assert str(error) == LINE == f"{error.problem}; {error.remedy}"
    assert (error.argument, error.expected, error.received) == ("scale", "a positive integer", "-2")


def test_what_is_right_raises_nothing() -> None:
    checks.require(True, "scale", expected="a", received="b", remedy="c")
    checks.require_choice("method", "b", ["a", "b"])
    checks.require_finite("cube", np.zeros((2, 3)))


def test_an_unknown_name_has_the_nearest_one_as_its_remedy() -> None:
    with pytest.raises(InputError) as caught:
        checks.require_choice("method", "bicubik", ["spectral_ls", "bicubic"])
    error = caught.value
    assert (error.argument, error.expected) == ("method", "one of bicubic, spectral_ls")
    assert (error.received, error.remedy) == ("'bicubik'", "did you mean 'bicubic'?")


def test_values_that_are_not_finite_are_counted_and_located() -> None:
    cube = np.zeros((2, 3, 4))
    cube[1, 2, 3], cube[1, 0, 2] = np.nan, np.inf
    with pytest.raises(InputError) as caught:
        checks.require_finite("cube", cube)
    assert caught.value.argument == "cube"
    assert caught.value.received == "2 NaN or infinite values (the first at index (1, 0, 2))"


def test_a_file_error_is_an_os_error_of_one_line() -> None:
    error = file_error(Path("a/cube.h5"), "is damaged", "fetch it again")
    assert isinstance(error, OSError) and isinstance(error, FileError)
    assert str(error) == FILE_LINE
    assert (error.path, error.problem, error.remedy) == ("a/cube.h5", "is damaged", "fetch it again")
    assert error.errno is None


@pytest.mark.parametrize(
    "error",
    [
        input_error(),
        input_error(OwnInputError),
        file_error("a/cube.h5", "is damaged", "fetch it again"),
        FileError("a/cube.h5", "is damaged", remedy="fetch it again", errno=errno.ENOSPC),
    ],
    ids=["input", "subclass", "file", "errno"],
)
def test_copies_and_pickles_keep_the_type_the_line_and_the_fields(error: Exception) -> None:
    error.add_note("while reading")
    for other in (
        copy.copy(error),
        *(pickle.loads(pickle.dumps(error, p)) for p in range(2, pickle.HIGHEST_PROTOCOL + 1)),
    ):
        assert type(other) is type(error)
        assert str(other) == str(error) and fields(other) == fields(error)
        assert other.__notes__ == ["while reading"]


def test_errors_of_a_worker_process_arrive_with_their_fields() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as workers:
        with pytest.raises(InputError, match="scale: expected") as caught:
            workers.submit(raising, input_error()).result()
        assert fields(caught.value) == fields(input_error())
        with pytest.raises(FileError) as damaged:
            workers.submit(raising, file_error("a/cube.h5", "is damaged", "fetch it again")).result()
        assert str(damaged.value) == FILE_LINE and damaged.value.problem == "is damaged"


def test_dask_carries_them_with_their_fields() -> None:
    protocol = pytest.importorskip("distributed.protocol.pickle")
    for error in (input_error(), file_error("a/cube.h5", "is damaged", "fetch it again")):
        other = protocol.loads(protocol.dumps(error))
        assert type(other) is type(error) and fields(other) == fields(error)


def test_an_error_becomes_a_finding_by_its_fields() -> None:
    error = InputError("hr_msi", expected="a; b", received="c; d", remedy="do e; then f")
    finding = error_finding("grids", error)
    assert finding == Finding(ERROR, "grids", "hr_msi: expected a; b, got c; d", "do e; then f")
    assert error_finding("grids", ValueError("one; two")) == Finding(ERROR, "grids", "one; two")


def test_a_decoder_leaves_errors_of_the_project_as_they_are() -> None:
    path, own = Path("a/cube.h5"), file_error("a/other.h5", "has no cube", "give its key")
    with pytest.raises(FileError) as kept, decoding(path, "HDF5"):
        raise own
    assert kept.value is own
    layout = InputError("layout", expected="x", received="y", remedy="z")
    with pytest.raises(InputError), decoding(path, "HDF5", arguments=("layout",)):
        raise layout
    other = InputError("transform", expected="x", received="y", remedy="z")
    with pytest.raises(FileError) as damaged, decoding(path, "HDF5", arguments=("layout",)):
        raise other
    assert str(other) in damaged.value.problem
    assert damaged.value.path == "a/cube.h5" and damaged.value.remedy == "fetch or write it again"


def test_a_full_disk_is_a_file_error_that_keeps_the_number_of_the_system(tmp_path: Path) -> None:
    target = tmp_path / "cube.h5"
    with pytest.raises(FileError) as caught, replacing_file(target):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.errno == errno.ENOSPC and caught.value.path == str(target)
    assert caught.value.problem == "cannot be written (No space left on device)"
