"""What a decoded event says, in the form that rows have it. An event is the JSON object of docs/events.md."""

from datetime import UTC, datetime
from typing import Any

Event = dict[str, Any]
Row = dict[str, Any]

_NONE: dict[str, Any] = {}
_IDENTITY = frozenset({"id", "name"})


def milliseconds(event: Event) -> int:
    """When, in milliseconds since the epoch, by the event's id; by its `@timestamp` if it has none."""
    event_id: str | None = event["event"].get("id")
    if event_id is None:
        return parse_time(event["@timestamp"])
    end = event_id.index(":")
    return int(event_id[: end - 4] + event_id[end - 3 : end])


def parse_time(text: str) -> int:
    """Milliseconds since the epoch of a time as events have it."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def time_text(ms: int) -> str:
    """A time as events have it: UTC, milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def node_of(host: dict[str, Any]) -> str:
    """What tells hosts apart: their id, else their name."""
    return host.get("id") or host.get("name") or "local"


def identity(user: dict[str, Any] | None) -> dict[str, str]:
    """`id` and `name` of a user or group, as far as they are known."""
    if not user:
        return {}
    if user.keys() <= _IDENTITY:
        return user  # as the core gives it to timelines
    return {key: user[key] for key in ("id", "name") if key in user}


def acting(event: Event) -> dict[str, Any]:
    """Who acts, by effective id; of records about accounts, the user of the process."""
    user = event.get("user", _NONE)
    return identity(user.get("effective")) or identity(user)


def program(event: Event) -> str:
    """The name of the program that acted: of its file, otherwise the process's own."""
    process = event.get("process", _NONE)
    path: str = process.get("executable") or process.get("name") or ""
    return path.rpartition("/")[2].removesuffix(" (deleted)")


def process_of(event: Event) -> dict[str, Any]:
    """The members of a row's `process` that any event has."""
    process = event.get("process", _NONE)
    kept = {key: process[key] for key in ("pid", "entity_id", "executable", "name") if key in process}
    if parent := process.get("parent", _NONE).get("pid"):
        kept["parent"] = {"pid": parent}
    return kept


def container_of(event: Event) -> dict[str, Any]:
    """Container id and name, as far as known."""
    container = event.get("container")
    return {key: container[key] for key in ("id", "name") if key in container} if container else {}


def error_of(event: Event) -> str | None:
    """The error of a failed system call, such as EACCES."""
    value = event["auditd"].get("data", _NONE).get("exit")
    return value if isinstance(value, str) and value.startswith("E") else None


def terminal_of(event: Event) -> str | None:
    """The terminal without /dev/; None for `?`, `(none)`, and names of programs in its place."""
    data = event["auditd"].get("data", _NONE)
    value = data.get("terminal") or data.get("tty")
    return terminal_named(value) if isinstance(value, str) else None


def terminal_named(value: str) -> str | None:
    """The same of what a record has for it."""
    name = value.removeprefix("/dev/")
    if name.startswith("pts") and not name.startswith("pts/"):
        name = f"pts/{name[3:]}"
    return name if name.startswith(("pts/", "tty", "hvc", "console")) else None


def words(value: object) -> list[str]:
    """A text or a list of them, as a list."""
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
