"""A real mosquitto for tests, with TLS and users, and a subscriber that remembers what it got."""

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.ports import free_port

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed: apt install mosquitto")

PASSWORD = "only in this test"  # noqa: S105  # of a broker that lives for a test
USER = "line"
RECEIVER = "receiver"


class Broker:
    """A mosquitto that keeps its sessions on disk; started and stopped at will."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path] | None = None, more: str = "") -> None:
        self.folder, self.port = folder, free_port()
        folder.mkdir(parents=True, exist_ok=True)
        tls = "" if certificate is None else f"certfile {certificate[0]}\nkeyfile {certificate[1]}\n"
        users = folder / "users"
        users.touch()
        for user in (USER, RECEIVER):
            subprocess.run(["mosquitto_passwd", "-b", users, user, PASSWORD], check=True)
        users.chmod(0o644)
        self.conf = folder / "mosquitto.conf"
        self.conf.write_text(
            f"listener {self.port} 127.0.0.1\n{tls}password_file {users}\nallow_anonymous false\nuser root\n"
            f"persistence true\npersistence_location {folder}/\nmax_queued_messages 0\nmax_inflight_messages 20\n"
            f"log_dest none\n{more}\n"
        )
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self.process = subprocess.Popen([MOSQUITTO, "-c", str(self.conf)], stdout=-3, stderr=-3)
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("mosquitto does not listen")

    def stop(self) -> None:
        """It writes its sessions to the disk, as `systemctl stop` has it do."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(10)
            self.process = None


class Subscriber:
    """Takes everything with QoS 1, in a session that outlives its connections."""

    def __init__(self, port: int, ca: Path | None = None) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self._lock = threading.Lock()
        self.client = Client(CallbackAPIVersion.VERSION2, "receiver", protocol=MQTTv5)
        self.client.username_pw_set(RECEIVER, PASSWORD)
        if ca is not None:
            self.client.tls_set(str(ca))
        self.client.reconnect_delay_set(1, 1)
        self.subscribed = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_message = self._take
        keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
        keep.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", port, 20, clean_start=False, properties=keep)
        self.client.loop_start()
        assert self.subscribed.wait(10)

    def _take(self, client: Client, data: object, message: Any) -> None:
        with self._lock:
            self.messages.append((message.topic, json.loads(message.payload)))

    def keys(self, kind: str) -> Counter[str]:
        """How often each key came."""
        with self._lock:
            return Counter(content["key"] for topic, content in self.messages if f"/{kind}" in topic)

    def of(self, kind: str) -> list[dict[str, Any]]:
        with self._lock:
            return [content for topic, content in self.messages if f"/{kind}" in topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
