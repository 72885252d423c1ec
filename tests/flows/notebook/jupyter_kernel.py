"""A Jupyter kernel in a process of its own, as a notebook has one."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager

TIMEOUT_S = 120


@dataclass
class Ran:
    """Messages of one cell, in order, without those that every cell has."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the contents of the messages of one kind."""
        return [one["content"] for one in self.messages if one["msg_type"] == kind]

    @property
    def error(self) -> dict[str, Any] | None:
        """Error of the cell."""
        errors = self.of("error")
        return errors[0] if errors else None

    @property
    def text(self) -> str:
        """Text that the cell printed."""
        return "".join(one["text"] for one in self.of("stream"))

    @property
    def result(self) -> str | None:
        """Value of the cell, as text."""
        results = self.of("execute_result")
        return results[0]["data"]["text/plain"] if results else None


class Kernel:
    """A kernel, and the client of its cells.

    Args:
        folder: Working folder of the kernel.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.start()

    def start(self) -> None:
        """Start the process, also again after a kill."""
        self.manager = KernelManager(kernel_name="python3")
        environment = os.environ | {
            "IPYTHONDIR": str(self.folder / "ipython"),
            "OMP_WAIT_POLICY": "PASSIVE",
            "JUPYTER_RUNTIME_DIR": str(self.folder),
        }
        self.manager.start_kernel(cwd=str(self.folder), env=environment)
        self.client: BlockingKernelClient = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT_S)

    def run(self, code: str) -> Ran:
        """Run a cell to its end."""
        return self.follow(self.client.execute(code))

    def follow(self, request: str) -> Ran:
        """Gather the messages that answer a request."""
        ran = Ran()
        while True:
            message = self.client.get_iopub_msg(timeout=TIMEOUT_S)
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return ran
            if message["msg_type"] not in {"status", "execute_input"}:
                ran.messages.append(message)

    def send(self, kind: str, content: dict[str, Any]) -> Ran:
        """Send a message of a widget, and gather what it leads to."""
        message = self.client.session.msg(kind, content)
        self.client.shell_channel.send(message)
        return self.follow(message["header"]["msg_id"])

    def kill(self) -> None:
        """Kill the process as a crash would, and leave nothing behind."""
        self.manager.shutdown_kernel(now=True)
        self.client.stop_channels()
