"""Results that survive: a stage's items in a JSON file, written after each, so that a run can be
cut off anywhere and taken up again."""

import hashlib
import json
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# results are of these files: others make them old
SOURCES = ("csrc/**/*", "fastconv/**/*.py", "tests/native/*.py", "tools/gpu*", "tools/gpu/*.py")
LONGEST_ERROR = 2000  # characters


def source_digest() -> str:
    """Of everything that a result depends on."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(p for p in ROOT.glob(pattern) if p.is_file()):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


class Store:
    """One stage's file. An item that is there is finished: ok, or failed with "error"."""

    def __init__(self, folder, stage: str, again: bool = False):
        self.path = Path(folder) / f"{stage}.json"
        source = source_digest()
        kept = json.loads(self.path.read_text()) if self.path.exists() else {}
        if kept.get("source") != source:
            kept = {}
        self.content = {
            "stage": stage, "source": source, "finished": False, "running": None, "machine": {},
            "items": {},
        } | kept  # fmt: skip
        if again:
            items = self.content["items"]
            self.content |= {"items": {k: v for k, v in items.items() if v["ok"]}}
            self.content["finished"] = self.content["finished"] and not self.failed(items)

    @property
    def items(self) -> dict:
        return self.content["items"]

    @staticmethod
    def failed(items) -> list[str]:
        return [name for name, item in items.items() if not item["ok"]]

    def write(self):
        """Whole or not at all: the process may be killed at any time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(".part")
        fresh.write_text(json.dumps(self.content, indent=1) + "\n")
        fresh.replace(self.path)

    def record(self, name, error=None, **facts):
        """error: None if all is well."""
        why = {} if error is None else {"error": str(error)[-LONGEST_ERROR:]}
        self.items[name] = {"ok": error is None, **facts, **why}
        self.content["running"] = None
        self.write()

    def record_crash(self, why: str):
        """The item that ran when its process died, if one did."""
        if self.content["running"] is not None:
            self.record(self.content["running"], why)


def run_items(store: Store, items, seconds: float, healthy=lambda: True, say=print) -> str:
    """Runs what is not finished; "finished", "late" (the time is up) or "broken" (not healthy()
    after an item: another process has to go on).

    items: (name, function) pairs; a function returns facts, of which "error" means failed.
    """
    end = time.monotonic() + seconds
    for name, function in items:
        if name in store.items:
            continue
        if time.monotonic() > end:
            return "late"
        store.content["running"] = name
        store.write()
        began = time.monotonic()
        try:
            facts = function() or {}
        except Exception as error:  # whatever it is, the next item shall run
            last = traceback.format_exc(limit=-3)
            facts = {"error": f"{type(error).__name__}: {error}\n{last}"}
        store.record(name, **facts, seconds=round(time.monotonic() - began, 3))
        if facts.get("error"):
            say(f"FAILED {name}: {facts['error'].splitlines()[0][:300]}", flush=True)
        if not healthy():
            return "broken"
    store.content["finished"] = True
    store.write()
    return "finished"
