"""Processes with a time limit that their children cannot outlive."""

import subprocess

from tools.gpu.store import ROOT

TIMED_OUT = 124  # what `timeout` ends with


def run_limited(command, seconds, **options):
    """A command in this folder; at the limit all that it started is ended: a kernel that still ran
    would disturb the next measurement."""
    limit = ["timeout", "-k", "5", f"{max(1, seconds):.0f}"]
    return subprocess.run([*limit, *map(str, command)], cwd=ROOT, **options)


def how_it_ended(command, status):
    why = "was not done in time" if status == TIMED_OUT else f"ended with {status}"
    return f"{command} {why}"
