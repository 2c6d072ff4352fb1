"""The main job: networks on real pictures, fastconv against the NumPy reference (see --help)."""

from fastconv.cli import bench_main

if __name__ == "__main__":
    bench_main()
