"""What the checksums of cached volumes cost: seconds to write and to compare, beside NumPy's own file.

    python tests/benchmarks/cache.py
    python tests/benchmarks/cache.py --volumes 60 --shape 160 160 88

The files lie in a temporary folder and in the system's page cache, as those of the run before often do.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np

from fewlabel.data.streams.cached_array import is_whole, write_array


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=20)
    parser.add_argument("--shape", type=int, nargs=3, default=[160, 160, 88])
    options = parser.parse_args()
    array = np.random.default_rng(0).random((1, *options.shape), dtype=np.float32)
    size = options.volumes * array.nbytes / 1e9
    with tempfile.TemporaryDirectory() as name:
        plain, sealed = ([Path(name, f"{kind}{i}.npy") for i in range(options.volumes)] for kind in ("plain", "sealed"))
        rows = {
            "numpy.save": seconds(lambda: [np.save(file, array) for file in plain]),
            "write_array, with its fsync": seconds(lambda: [write_array(file, array) for file in sealed]),
            "is_whole": seconds(lambda: [is_whole(file) for file in sealed]),
            "is_whole, 4 threads": seconds(lambda: ThreadPool(4).map(is_whole, sealed)),
        }
    print(f"{options.volumes} volumes, {size:.2f} GB\n")
    for row, spent in rows.items():
        print(f"{row:30} {spent:6.2f} s  {spent / size:6.2f} s/GB")


if __name__ == "__main__":
    main()
