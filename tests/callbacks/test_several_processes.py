"""What processes must hold alike, and how the loss of one is told."""

import pytest
import torch.distributed

from thawline.callbacks.lost_process import LostProcess, is_loss, lost_process_explained
from thawline.callbacks.same_everywhere import first_disagreement


def test_the_first_process_that_differs_is_named_with_what_to_do() -> None:
    same = {"data.fingerprint": "a", "seed": "0"}
    assert first_disagreement([same, dict(same)]) is None
    other = first_disagreement([same, same, {**same, "data.fingerprint": "b"}])
    assert other is not None
    assert other.startswith("data.fingerprint: process 0 has a, process 2 has b; every machine needs the same images")
    assert "process 1 has (absent); give every process the same command" in str(
        first_disagreement([{"optim.lr": "0.1"}, {}])
    )


def test_a_broken_connection_is_told_in_one_line() -> None:
    ended = "another process of this run ended, its output says why; go on"
    with pytest.raises(LostProcess, match=ended) as error, lost_process_explained("go on with resume=x"):
        raise RuntimeError("[../gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1")
    assert isinstance(error.value.__cause__, RuntimeError)
    assert is_loss(torch.distributed.DistBackendError("remote process exited"))  # type: ignore[attr-defined]


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2") as error, lost_process_explained("x"):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert not isinstance(error.value, LostProcess)
