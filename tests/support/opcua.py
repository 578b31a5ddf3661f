"""OPC UA for tests: client certificates, a server process, and a client with certificate and user."""

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.lines import LineUnderTest
from tests.support.ports import free_port

USERS = {"kim": "operator", "view": "viewer"}
PASSWORD = "only in this test"  # noqa: S105  # of a server that lives for a test


def client_certificate(folder: Path, name: str) -> Path:
    """NAME.der and NAME.pem, self-signed, for `urn:test:NAME`; also the certificate as PEM."""
    key = generate_private_key()
    uri = f"urn:test:{name}"
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")]
    made = generate_self_signed_app_certificate(
        key, uri, {"commonName": name}, names, [ExtendedKeyUsageOID.CLIENT_AUTH], 100
    )
    (folder / f"{name}.pem").write_bytes(dump_private_key_as_pem(key))
    (folder / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    path = folder / f"{name}.der"
    path.write_bytes(made.public_bytes(serialization.Encoding.DER))
    return path


class Opcua:
    """A line's config with an [opcua] table, and the process."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder, self.port, self.health = folder, free_port(), free_port()
        self.line = LineUnderTest(folder)
        self.out, self.errors = folder / "out", folder / "stderr"
        recipe = (folder / "recipe.toml").read_text()
        (folder / "strict.toml").write_text(recipe.replace('"test"', '"strict"'))
        users = "".join(
            f'[opcua.users.{name}]\nrole = "{role}"\npassword = "env:UA_PASSWORD"\n'
            for name, role in USERS.items()
        )
        self.line.write_config(
            '[sinks]\nout = "out"\n[plans.strict]\nrecipe = "strict.toml"\n'
            f'[health]\nport = {self.health}\n{more}\n'
            f'[opcua]\naddress = "127.0.0.1:{self.port}"\n{users}',
            type="simulator", height=64, width=128, defective_share=0.3, frames_per_second=20,
        )  # fmt: skip
        self.trusted = self.out / "opcua" / "trusted"
        self.trusted.mkdir(parents=True)
        self.certificates = folder / "clients"
        self.certificates.mkdir()
        shutil.copy(client_certificate(self.certificates, "friend"), self.trusted)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/strip-inspector"

    def start(self) -> None:
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "inspector", "opcua", "--config", str(self.line.config)],
                env=os.environ | {"UA_PASSWORD": PASSWORD}, stdout=errors, stderr=errors,
            )  # fmt: skip
        before = len(self.logged("opcua started"))
        until = time.monotonic() + 240
        while len(self.logged("opcua started")) == before:
            assert self.process.poll() is None, self.errors.read_text()
            assert time.monotonic() < until
            time.sleep(0.1)

    def logged(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.errors.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if event in line["event"]]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        code = self.process.wait(30)
        self.process = None
        return code

    async def client(self, user: str | None = "kim", password: str = PASSWORD, name: str = "friend") -> Client:
        """A client that is ready to connect."""
        client = Client(self.url, timeout=60, watchdog_intervall=60)
        client.application_uri = f"urn:test:{name}"
        if user is not None:
            client.set_user(user)
            client.set_password(password)
        await client.set_security(
            SecurityPolicyBasic256Sha256,
            str(self.certificates / f"{name}.der"),
            str(self.certificates / f"{name}.pem"),
            mode=ua.MessageSecurityMode.SignAndEncrypt,
        )
        return client


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
