"""The main job: each network on real photographs, fastconv against the NumPy reference. See --help."""

from fastconv.cli import bench_main

if __name__ == "__main__":
    bench_main()
