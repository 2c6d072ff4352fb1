"""How long this process's threads waited for a core: what other programs took from a measurement.

Linux counts for every thread the nanoseconds on a core and, second, in the queue for one
(/proc/self/task/*/schedstat). Waiting is the system's account, not a guess from slow rounds.
"""

from pathlib import Path

TASKS = Path("/proc/self/task")


def waits(tasks: Path = TASKS) -> dict[str, int] | None:
    """{thread: nanoseconds that it has waited for a core since it began}; None where the system
    does not count them."""
    found, ran = {}, 0
    for folder in tasks.iterdir() if tasks.is_dir() else ():
        try:
            on_core, in_queue, _ = map(int, (folder / "schedstat").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that ended, or a system without such files
        found[folder.name] = in_queue
        ran += on_core
    return found if ran else None  # all zeros: the files are there, the accounting is off


def waited(before: dict[str, int] | None, after: dict[str, int] | None) -> float | None:
    """Seconds that all threads together waited between two results of waits(); those that began in
    between count from their beginning."""
    if before is None or after is None:
        return None
    return 1e-9 * sum(ns - before.get(thread, 0) for thread, ns in after.items())
