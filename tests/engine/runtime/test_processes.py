from __future__ import annotations

import pytest

from rfga.engine.runtime.processes import ALONE, Processes, started_processes
from rfga.types import UserError

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SRUN = {
    "SLURM_PROCID": "5",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_NTASKS": "16",  # of the whole job
}
SIXTH = Processes(rank=5, world=8, local_rank=1, local_world=4)


@pytest.mark.parametrize("environ", [TORCHRUN, SRUN, {**SRUN, **TORCHRUN, "SLURM_PROCID": "0"}])
def test_torchrun_comes_before_srun(environ: dict[str, str]) -> None:
    assert started_processes(environ) == SIXTH


def test_without_either_there_is_nothing_to_join() -> None:
    assert started_processes({}) is None
    batch_script = {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "1"}
    assert started_processes(batch_script) is None
    assert started_processes({"RANK": "0"}) is None


def test_rank_and_number_alone_are_one_process_a_machine() -> None:
    assert started_processes({"RANK": "1", "WORLD_SIZE": "2"}) == Processes(1, 2, 0, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"RANK": "8"},
        {"RANK": "-1"},
        {"RANK": "first"},
        {"LOCAL_RANK": "4"},
        {"LOCAL_WORLD_SIZE": "3"},
        {"LOCAL_WORLD_SIZE": "0"},
    ],
)
def test_numbers_that_cannot_be(changes: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"^expected .*, found .*: start them with torchrun or srun"):
        started_processes({**TORCHRUN, **changes})


@pytest.mark.parametrize("world", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("count", [0, 1, 5, 14])
def test_shares_are_the_whole_and_nothing_twice(world: int, count: int) -> None:
    shares = [Processes(rank, world, rank, world).share(range(count)) for rank in range(world)]
    assert sorted(item for share in shares for item in share) == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_one_process_needs_no_others() -> None:
    assert (ALONE.alone, ALONE.first, SIXTH.alone, SIXTH.first) == (True, True, False, False)
    assert ALONE.gather("a") == ["a"]
    ALONE.wait()
    ALONE.require_same("photographs", ["a"])
    with pytest.raises(UserError, match="as it was raised"):
        ALONE.agree(failing)


def failing() -> None:
    raise UserError("as it was raised")
