"""Devices of a user that keep copies of the tasks, and their connections to the service, which break."""

import json
import re
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self


class Link:
    """A device's connection to the service."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: set[socket.socket] = set()
        self._lost: set[str] = set()
        self._held: set[str] = set()
        self._is_up = True
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.requests: list[str] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        self._is_up = False
        for one in list(self._sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def lose(self, method: str) -> None:
        """Lose the responses to requests with this method, which the service has carried out."""
        self._lost.add(method)

    def hold(self, *stages: str) -> None:
        """Hold back, until mend, requests such as ``"request GET"``, and responses such as ``"response PATCH"``."""
        self._held |= set(stages)

    def release(self, stage: str) -> None:
        """Pass on what was held back at this stage."""
        self._held.discard(stage)

    def join(self) -> None:
        """Accept connections again."""
        self._is_up = True

    def mend(self) -> None:
        """Pass on all connections and responses again."""
        self._lost.clear()
        self._held.clear()
        self.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                device, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(device,), daemon=True).start()

    def _serve(self, device: socket.socket) -> None:
        with device, suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as service:
            self._sockets |= {device, service}
            if not self._is_up:
                return
            asked: list[str] = []
            threading.Thread(target=self._pass_answers, args=(service, device, asked), daemon=True).start()
            while data := device.recv(65536):
                if found := re.match(rb"([A-Z]+) (\S+) HTTP", data):
                    asked.append(found[1].decode())
                    self.requests.append(f"{asked[-1]} {found[2].decode()}")
                self._wait(f"request {asked[-1]}")
                service.sendall(data)

    def _wait(self, stage: str) -> None:
        while stage in self._held:
            time.sleep(0.01)

    def _pass_answers(self, service: socket.socket, device: socket.socket, asked: list[str]) -> None:
        with suppress(OSError):
            while data := service.recv(65536):
                if asked[-1] in self._lost:
                    break
                self._wait(f"response {asked[-1]}")
                device.sendall(data)
        for one in (service, device):
            self._sockets.discard(one)
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class Device:
    """A process that runs tests/frontend/sync/device.mjs. Its copy is in a file, which stays when it is killed."""

    def __init__(self, program: Path, link: Link, token: str, folder: Path) -> None:
        self.link = link
        self._command = ["node", str(program), link.url, token, str(folder / "storage.jsonl")]
        self._log = folder / "device.log"
        folder.mkdir()
        self.start()

    def start(self) -> None:
        """Open the application."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def do(self, action: str, *values: Any) -> Any:
        """Do an action, and return its result."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps([action, *values]), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the device ended: {self._log.read_text()}"
        return json.loads(line)
