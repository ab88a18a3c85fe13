"""What a stack remembers in its data folder: its ports, and the processes that were started."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.local.errors import StackError
from infra.local.processes import Process

STATE_FILE = "stack.json"


@dataclass
class State:
    """Ports by name, and processes by the name of their part; a process may have ended since."""

    file: Path
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)

    @classmethod
    def load(cls, data: Path) -> "State":
        """The state in this data folder, empty when there is none; StackError when it can't be read."""
        file = data / STATE_FILE
        try:
            content = json.loads(file.read_text())
            processes = {name: Process(**process) for name, process in content["processes"].items()}
            return cls(file, content["ports"], processes)
        except FileNotFoundError:
            return cls(file)
        except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
            raise StackError(f"{file} can't be read ({error!r}): delete {data} to start anew") from error

    def save(self) -> None:
        """Write it, whole or not at all."""
        processes = {name: asdict(process) for name, process in self.processes.items()}
        draft = self.file.with_name(f".{self.file.name}.draft")  # hidden: a folder that only holds it is empty
        draft.write_text(json.dumps({"ports": self.ports, "processes": processes}, indent=2))
        draft.replace(self.file)

    def running(self, name: str) -> Process | None:
        """The process of a part, if it still runs."""
        process = self.processes.get(name)
        return process if process and process.alive else None
