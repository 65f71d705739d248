"""A MONAI Label server in a process of its own, and what a viewer says to it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import requests

STANDIN = Path(__file__).parent / "standin"
NOWHERE = "http://127.0.0.1:9"  # a proxy that is not there: any call to the internet fails at once


def environment(*path: Path) -> dict[str, str]:
    """No internet, one thread, and of this repository only what is named."""
    proxies = {f"{kind}_proxy": NOWHERE for kind in ("http", "https", "HTTP", "HTTPS")}
    own = {"PYTHONPATH": os.pathsep.join(map(str, (STANDIN, *path))), "OMP_NUM_THREADS": "1", "no_proxy": "127.0.0.1"}
    # scores are renewed when a test asks for it, not in between
    return {**os.environ, **proxies, **own, "MONAI_LABEL_AUTO_UPDATE_SCORING": "false"}


def monailabel(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monailabel.main", *arguments], env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Server:
    """A running server."""

    def __init__(self, port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.address, self.log_file, self.process = f"http://127.0.0.1:{port}", log, process

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait(self, seconds: float = 400) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            try:
                requests.get(f"{self.address}/info/", timeout=30)
            except requests.ConnectionError:
                time.sleep(0.5)
            else:
                return
        raise AssertionError(f"the server did not start:\n{self.log[-5000:]}")

    def ask(self, verb: str, place: str, **options: Any) -> requests.Response:
        return requests.request(verb, f"{self.address}{place}", timeout=600, **options)

    def get(self, place: str) -> Any:
        answer = self.ask("GET", place)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, place: str, request: Mapping[str, Any] | None = None) -> Any:
        answer = self.ask("POST", place, json=dict(request or {}))
        assert answer.status_code == 200, f"{answer.text}\n{self.log[-5000:]}"
        return answer.json()

    def segment(self, model: str, study: str, folder: Path) -> nib.nifti1.Nifti1Image:
        """Return the label map that a viewer gets."""
        answer = self.ask("POST", f"/infer/{model}?image={study}&output=image")
        assert answer.status_code == 200, f"{answer.text}\n{self.log[-5000:]}"
        name = re.search(r'filename="([^"]+)"', answer.headers["content-disposition"])
        assert name
        file = folder / f"{model}_{time.monotonic_ns()}_{name[1]}"
        file.write_bytes(answer.content)
        return nib.load(file)

    def submit(self, study: str, label: Path) -> None:
        with label.open("rb") as stream:
            place = f"/datastore/label?image={study}&tag=final"
            answer = self.ask("PUT", place, files={"label": (label.name, stream)})
        assert answer.status_code == 200, answer.text

    def train(self, model: str, request: Mapping[str, Any], seconds: float = 800) -> dict[str, Any]:
        """Train as viewers do, in the background, and return the task when it has ended."""
        self.post(f"/train/{model}", request)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            task: dict[str, Any] = self.get("/train/")
            if task["status"] not in ("SUBMITTED", "RUNNING"):
                return task
            time.sleep(1)
        raise AssertionError(f"the training did not end:\n{self.log[-5000:]}")


@contextmanager
def serving(app: Path, studies: Path, conf: Mapping[str, str], *path: Path) -> Iterator[Server]:
    """Start a server, and stop it in the end."""
    port = free_port()
    words = [word for pair in conf.items() for word in ("--conf", *pair)]
    command = ["start_server", "--app", str(app), "--studies", str(studies), "--host", "127.0.0.1", "--port", str(port)]
    with started([sys.executable, "-m", "monailabel.main", *command, *words], port, studies.parent, *path) as server:
        server.wait()
        yield server


@contextmanager
def started(command: list[str], port: int, folder: Path, *path: Path, cwd: Path | None = None) -> Iterator[Server]:
    log = folder / f"server_{port}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment(*path), stdout=stream, stderr=subprocess.STDOUT, cwd=cwd)
        try:
            yield Server(port, log, process)
        finally:
            process.terminate()
            process.wait(60)


def bundle_run(bundle: Path, scan: Path, folder: Path, *path: Path) -> nib.nifti1.Nifti1Image:
    """Return what `python -m monai.bundle run` of the bundle's inference.json writes, from elsewhere."""
    (folder / "scans").mkdir()
    (folder / "scans" / scan.name).symlink_to(scan)
    done = subprocess.run(
        [
            sys.executable, "-m", "monai.bundle", "run", "--config_file", str(bundle / "configs" / "inference.json"),
            "--dataset_dir", str(folder / "scans"), "--output_dir", str(folder / "labels"),
        ],
        env=environment(*path), cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return nib.load(next((folder / "labels").glob("*.nii.gz")))


def assert_same(found: nib.nifti1.Nifti1Image, expected: nib.nifti1.Nifti1Image) -> None:
    """On one grid and equal voxel by voxel."""
    assert found.shape == expected.shape
    assert np.allclose(found.affine, expected.affine, atol=1e-5)
    assert np.array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))
