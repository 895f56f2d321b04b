"""Two CPU processes with different images and a thaw in the middle: are the weights equal across them?"""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from peer import Answer, Job, Moment, Peer, first_line
from tiny import TinyNet

RANK_SCRIPT = Path(__file__).with_name("rank.py")
TIMEOUT_S = 240
EPOCHS, THAW_AT = 3, 1
Digests = dict[str, str]


def two_processes(peer: Peer, job: Job) -> Answer:
    """torchrun starts two processes; each trains and writes the checksums of its parameters."""
    job.folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=1", "--nproc-per-node=2"]
    command += ["--master-addr=127.0.0.1", f"--master-port={_free_port()}", str(RANK_SCRIPT)]
    command += [type(peer).__module__, job.setting, str(job.folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    try:
        subprocess.run(command, env=environment, capture_output=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Answer("no", f"hangs: no end after {TIMEOUT_S} s")
    files = [job.folder / f"rank_{rank}.json" for rank in range(2)]
    if not all(file.is_file() for file in files):
        return Answer("crash", "a process died without a word")
    return _compare(*(json.loads(file.read_text()) for file in files))


def _compare(first: dict[str, Digests], second: dict[str, Digests]) -> Answer:
    for ranks in (first, second):
        if "error" in ranks:
            return Answer("no", f"raises {ranks['error']['line']}")
    assert first["images"] != second["images"], "both ranks saw the same images: equal weights would prove nothing"
    before = _unequal(first["thaw"], second["thaw"])
    after = _unequal(first["final"], second["final"])
    if not after:
        return Answer("yes", "all parameters equal across ranks")
    text = f"{len(after)} of {len(first['final'])} parameters differ across ranks at the end ({after[0]}, ...)"
    return Answer("no", f"{text}, {len(before)} before the thaw")


def _unequal(first: Digests, second: Digests) -> list[str]:
    return [name for name in first if first[name] != second[name]]


def train_as_rank(peer: Peer, job: Job) -> None:
    """The body of one process: train, then write what the other process is compared with."""
    rank = int(os.environ["RANK"])
    job = replace(job, processes=2, rank=rank, epochs=EPOCHS, thaw_at=THAW_AT)
    net, seen = TinyNet(), dict[str, Digests]()
    images: list[float] = []

    def watch(moment: Moment) -> None:
        if moment.when == "start" and moment.epoch == THAW_AT:
            seen["thaw"] = digests(moment.net)

    net.head.register_forward_pre_hook(lambda module, inputs: images.append(float(inputs[0].sum())))
    try:
        peer.train(net, job, watch)
        seen["final"], seen["images"] = digests(net), {"sum": repr(images)}
    except Exception as error:
        seen["error"] = {"line": first_line(error)}
    (job.folder / f"rank_{rank}.json").write_text(json.dumps(seen))


def digests(net: TinyNet) -> Digests:
    """Checksum of every parameter. Buffers may differ: each process has its own images."""
    return {n: sha256(p.detach().cpu().numpy().tobytes()).hexdigest() for n, p in net.named_parameters()}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
