"""Accounts, roles and sessions."""

import contextlib
import hashlib
import secrets
import sqlite3
import threading
import time
from enum import StrEnum
from typing import Final

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from inspector.errors import InputError
from inspector.serve.audit import note
from inspector.serve.store import Store, UnknownError

SESSION_S: Final = 12 * 3600
"""A session ends after this time without a request, seconds: a shift and its handover."""

SHORTEST_PASSWORD: Final = 10
LONGEST_PASSWORD: Final = 200
"""Characters. Without a limit, hashing long passwords could block the page."""

LONGEST_NAME: Final = 60

_REFRESH_S: Final = 60
"""How often the use of a session is stored, seconds."""


class Role(StrEnum):
    """What an account may do; each role includes those before it."""

    VIEWER = "viewer"
    """See everything."""
    OPERATOR = "operator"
    """Acknowledge alarms, note events."""
    QUALITY = "quality"
    """Review frames."""
    ADMIN = "admin"
    """Make accounts, read the audit."""

    def may(self, needed: "Role") -> bool:
        """Whether this role includes `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Account(msgspec.Struct, frozen=True):
    """The account behind a request."""

    name: str
    role: Role


class Accounts:
    """The accounts in the page's database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hasher = PasswordHasher()
        # One hash at a time: each takes 64 MiB and the CPU time of several frames.
        self._hashing = threading.Lock()
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def exist(self) -> bool:
        """Return whether any account exists."""
        with self._store.reading() as connection:
            return connection.execute("SELECT 1 FROM accounts LIMIT 1").fetchone() is not None

    def all(self) -> list[Account]:
        """Return all accounts by name."""
        with self._store.reading() as connection:
            found = connection.execute("SELECT name, role FROM accounts ORDER BY name")
            return [Account(row["name"], Role(row["role"])) for row in found]

    def add(self, name: str, role: Role, password: str, by: str) -> None:
        """Add an account. Raises InputError for a name in use, or a bad name or password."""
        check_name(name)
        check_password(password)
        with self._hashing:
            hashed = self._hasher.hash(password)
        with self._store.changing() as connection:
            if connection.execute("SELECT 1 FROM accounts WHERE name = ?", (name,)).fetchone():
                raise InputError(f"{name}: the account exists: remove it first")
            connection.execute(
                "INSERT INTO accounts VALUES (?, ?, ?, ?)", (name, role.value, hashed, time.time_ns())
            )
            note(connection, by, "account added", name, role.value)

    def remove(self, name: str, by: str) -> None:
        """Remove an account and end its sessions. Raises InputError for an unknown one."""
        with self._store.changing() as connection:
            if not connection.execute("DELETE FROM accounts WHERE name = ?", (name,)).rowcount:
                raise UnknownError(f"{name}: no such account")
            note(connection, by, "account removed", name, "")

    def log_in(self, name: str, password: str) -> str | None:
        """Start a session; returns its token, or None for a wrong name or password, after the same time."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT password_hash FROM accounts WHERE name = ?", (name,)).fetchone()
        with self._hashing:
            try:
                self._hasher.verify(row["password_hash"] if row else self._nobody, password)
            except (Argon2Error, InvalidHashError):
                row = None
        with self._store.changing() as connection:
            if row is None:
                note(connection, name[:LONGEST_NAME], "login refused", "", "")
                return None
            token = secrets.token_urlsafe(32)
            now_ns = time.time_ns()
            connection.execute("DELETE FROM sessions WHERE used_ns < ?", (now_ns - SESSION_S * 10**9,))
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", (_digest(token), name, now_ns))
            note(connection, name, "logged in", "", "")
        return token

    def log_out(self, token: str) -> None:
        """End a session."""
        with self._store.changing() as connection:
            connection.execute("DELETE FROM sessions WHERE token_hash = ?", (_digest(token),))

    def of_session(self, token: str) -> Account | None:
        """Return the account of a session; None for an unknown or old one."""
        digest, now_ns = _digest(token), time.time_ns()
        with self._store.reading() as connection:
            row = connection.execute(
                "SELECT name, role, used_ns FROM sessions JOIN accounts ON name = account WHERE token_hash = ?",
                (digest,),
            ).fetchone()
            if row is None or row["used_ns"] < now_ns - SESSION_S * 10**9:
                return None
            if row["used_ns"] < now_ns - _REFRESH_S * 10**9:
                self._refresh(connection, digest, now_ns)
        return Account(row["name"], Role(row["role"]))

    def _refresh(self, connection: sqlite3.Connection, digest: str, now_ns: int) -> None:
        """Note that the session is used. A locked or full store must not keep anybody from looking."""
        connection.execute("PRAGMA busy_timeout = 0")
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("UPDATE sessions SET used_ns = ? WHERE token_hash = ?", (now_ns, digest))


def check_name(name: str) -> None:
    """Raise InputError for a name that cannot be an account's."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
        raise InputError(f"{name!r}: a name has 1 to {LONGEST_NAME} printable characters, no space at either end")


def check_password(password: str) -> None:
    """Raise InputError for a password that is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InputError(f"the password needs {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")


def _digest(token: str) -> str:
    # The token has 256 random bits, so a plain hash cannot be searched.
    return hashlib.sha256(token.encode()).hexdigest()


class Attempts:
    """Limits failed logins, by name and by address."""

    MOST: Final = 5
    """Failed logins of one name or address within WINDOW_S."""
    WINDOW_S: Final = 300.0
    MOST_KEYS: Final = 10_000
    """Names and addresses remembered; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._failed: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def begin(self, name: str, address: str) -> float:
        """Count a try as failed; returns 0, or how long this name or address must wait until it may be tried.

        It counts before the password is hashed: many tries at once are not more than a few one after the other.
        """
        now_s = time.monotonic()
        with self._lock:
            waits = [0.0]
            for key in (name, address):
                recent = [at_s for at_s in self._failed.get(key, []) if now_s - at_s < self.WINDOW_S]
                if len(recent) >= self.MOST:
                    waits.append(recent[-self.MOST] + self.WINDOW_S - now_s)
            if max(waits):
                return max(waits)
            for key in (name, address):
                before = [at_s for at_s in self._failed.pop(key, []) if now_s - at_s < self.WINDOW_S]
                self._failed[key] = [*before, now_s]
            while len(self._failed) > self.MOST_KEYS:
                del self._failed[next(iter(self._failed))]
        return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """Forget the failed logins of a name, and take this one back from the address."""
        with self._lock:
            self._failed.pop(name, None)
            if self._failed.get(address):
                self._failed[address].pop()
