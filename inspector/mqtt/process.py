"""mqtt: sends the line's results to the broker, and continues where it stopped."""

import time
from contextlib import ExitStack
from typing import Final

import structlog

from inspector.config.buses import MqttSettings
from inspector.config.line import LoadedConfig
from inspector.errors import ConfigError
from inspector.mqtt.link import KEEPALIVE_S, ONLINE, Link, LinkError, TakenOverError, TooLargeError
from inspector.outbound.feed import Feed
from inspector.outbound.messages import coil_message, defect_messages, health_message
from inspector.outbound.open import open_feed, open_health
from inspector.outbound.stream import COILS, FRAMES, Step
from inspector.repeated import Repeated
from inspector.runtime.lock import hold_place
from inspector.runtime.notify import READY, Notifier, Pulse
from inspector.runtime.stop import StopRequest

READ_STEPS: Final = 200
"""Results read from the files in a turn."""

IDLE_S: Final = 0.2
"""Wait between two looks into the files when nothing is new, seconds."""

SAVE_EVERY_S: Final = 0.5
"""How often the position is written, seconds: what was sent since is sent again after a power cut."""

LAST_SEND_S: Final = 2.0
"""Time after a stop request for acknowledgements that are on their way, seconds."""

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
"""Between two attempts to connect, seconds; each pause is twice the one before, until a connection is steady."""

STEADY_S: Final = 10.0
"""A connection is steady when the broker acknowledges a result after this time, or when it lasts for the longest
pause. Two clients of one name would otherwise take turns every second."""

CONNECT_S: Final = 10.0
"""Longest wait until the broker has accepted the connection, seconds."""

ANSWER_S: Final = 2.0 * KEEPALIVE_S
"""Longest wait for an acknowledgement, seconds."""

log = structlog.get_logger()


def main(config: LoadedConfig) -> None:
    """Run until a stop request. Raises InputError before the start."""
    settings = config.line.mqtt
    if settings is None or settings.folder is None:
        raise ConfigError(f"{config.path}: has no [mqtt] table: add one with the broker's host")
    with hold_place("mqtt", settings.folder), StopRequest() as stop, ExitStack() as stack:
        health = open_health(config, settings.folder, stack)
        feed = open_feed(config, settings.folder, stack, health)
        publisher = Publisher(settings, config.line.name, feed)
        publisher.connect()  # raises for a file that cannot be read
        notifier = Notifier()
        notifier.tell(**{READY: "1"})
        log.info("mqtt started", broker=settings.address, topic=publisher.topic)
        pulse = Pulse(notifier, "messages")
        while not stop:
            publisher.turn()
            pulse.turn(publisher.sent, pending=False, say=publisher.state)
        publisher.finish()


class Publisher:
    """Takes results from the feed and sends them; never more than the broker has room for."""

    def __init__(self, settings: MqttSettings, line: str, feed: Feed) -> None:
        self._settings, self._line, self._feed = settings, line, feed
        self.topic = f"{settings.topic}/{topic_level(line)}"
        self._link: Link | None = None
        self._left: dict[int, tuple[Step | None, str]] = {}
        """Number of a message without answer → the result it belongs to, if any, and its topic."""
        self._parts: dict[int, int] = {}
        """id of a result → its messages that are not acknowledged."""
        self._waiting: list[tuple[Step, str, object, bool]] = []
        """Messages that the broker has no room for yet."""
        self._refusals: dict[str, Repeated] = {}
        """By topic."""
        self._why = ""
        self._pause_s, self._try_at_s = FIRST_PAUSE_S, 0.0
        self._opened_s = self._heard_s = self._looked_s = self._saved_s = 0.0
        self.sent = 0
        self.left_out = 0
        """Messages that the broker does not take."""

    def state(self) -> str:
        """For `systemctl status`."""
        left_out = f", {self.left_out} messages left out" if self.left_out else ""
        return f"{self._settings.address}: {self._why or 'connected'}{left_out}"

    def turn(self) -> None:
        """Connect, read, send, take acknowledgements; waits at most IDLE_S."""
        now_s = time.monotonic()
        link = self._link
        if link is None:
            if now_s < self._try_at_s:
                time.sleep(min(IDLE_S, self._try_at_s - now_s))
            else:
                self.connect()
            return
        try:
            self._exchange(link, now_s)
        except LinkError as error:
            self._take_answers(link)  # some brokers end the connection after a refusal
            if isinstance(error, TakenOverError):
                self._pause_s = LONGEST_PAUSE_S
            self._fail(str(error))
        if now_s - self._saved_s >= SAVE_EVERY_S:
            self._saved_s = now_s
            self._feed.save()

    def connect(self) -> None:
        """Try to connect. Raises ConfigError for files that cannot be used."""
        client_id = self._settings.client_id or f"strip-inspector-{self._line}"[:64]
        self._link = Link(self._settings, self.topic, client_id)
        self._opened_s = self._heard_s = time.monotonic()
        try:
            self._link.open()
        except LinkError as error:
            self._fail(str(error))

    def finish(self) -> None:
        """Wait for acknowledgements that are on their way, and disconnect."""
        until_s = time.monotonic() + LAST_SEND_S
        try:
            while self._link is not None and self._left and time.monotonic() < until_s:
                self._link.turn(0.05)
                self._take_answers(self._link)
            if self._link is not None:
                self._link.close()
        except LinkError as error:
            self._fail(str(error))
        self._feed.save()

    def _exchange(self, link: Link, now_s: float) -> None:
        if not link.accepted():
            link.turn(0.05)
            if now_s - self._opened_s > CONNECT_S:
                raise LinkError(f"the broker has not accepted the connection for {CONNECT_S:g} s")
            if link.accepted():
                self._welcome(link)
            return
        if now_s - self._opened_s > LONGEST_PAUSE_S:
            self._pause_s = FIRST_PAUSE_S
        busy = self._send(link, now_s)
        link.turn(0.005 if busy else IDLE_S if not self._left else 0.02)
        self._take_answers(link)
        if self._left and time.monotonic() - self._heard_s > ANSWER_S:
            raise LinkError(f"the broker has acknowledged nothing for {ANSWER_S:g} s")

    def _welcome(self, link: Link) -> None:
        log.info("mqtt connected", broker=self._settings.address, open_messages=link.window)
        self._why = ""
        self._left[link.say_online()] = None, ONLINE
        self._heard_s = time.monotonic()

    def _send(self, link: Link, now_s: float) -> bool:
        """Send what there is room for; returns whether there was something."""
        if not self._waiting and now_s - self._looked_s >= (0.0 if self._left else IDLE_S / 2):
            steps = self._feed.read(READ_STEPS)
            if len(steps) < READ_STEPS:
                self._looked_s = now_s
            for step in steps:
                self._queue(step)
        sent = 0
        for step, topic, message, retain in self._waiting:
            if len(self._left) >= link.window:
                break
            if not self._left:
                self._heard_s = time.monotonic()
            try:
                self._left[link.send(topic, message, retain=retain)] = step, topic
                self.sent += 1
            except TooLargeError as error:
                self._leave_out(topic, str(error))
                self._settle(step)
            sent += 1
        del self._waiting[:sent]
        return sent > 0

    def _queue(self, step: Step) -> None:
        messages = self._messages(step)
        if not messages:
            self._feed.taken(step)
            return
        self._parts[id(step)] = len(messages)
        self._waiting += [(step, *each) for each in messages]

    def _messages(self, step: Step) -> list[tuple[str, object, bool]]:
        """Topic, content, and whether the broker keeps it for those who subscribe later."""
        if step.stream == FRAMES:
            verdict = step.item
            return [(f"defect/{verdict.camera}", each, False) for each in defect_messages(self._line, verdict)]
        if step.stream == COILS:
            return [("coil", coil_message(self._line, step.item), True)]
        return [("health", health_message(self._line, step.item), True)]

    def _take_answers(self, link: Link) -> None:
        answers, link.answered = link.answered, []
        for number, refusal in answers:
            self._heard_s = time.monotonic()
            step, topic = self._left.pop(number, (None, ""))
            if refusal:
                self._leave_out(topic, refusal)
            if step is None:
                continue  # `online`, which is not a result
            if not refusal and self._heard_s - self._opened_s > STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            self._settle(step)

    def _leave_out(self, topic: str, why: str) -> None:
        """Say that a message is not sent; the others go on."""
        self.left_out += 1
        count = self._refusals.setdefault(topic, Repeated()).due()
        if count is not None:
            log.error("mqtt: messages are left out", topic=f"{self.topic}/{topic}", why=why, count=count)

    def _settle(self, step: Step) -> None:
        """A message of this result is done."""
        self._parts[id(step)] -= 1
        if not self._parts[id(step)]:
            del self._parts[id(step)]
            self._feed.taken(step)

    def _fail(self, why: str) -> None:
        """Close, go back to the last result that the broker has, and try again later."""
        if self._link is not None:
            self._link.drop()
            self._link = None
        self._left.clear()
        self._parts.clear()
        self._waiting.clear()
        self._feed.rewind()
        if why != self._why:
            log.error("mqtt: not connected, keeps trying", broker=self._settings.address, why=why)
        self._why = why
        self._try_at_s = time.monotonic() + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)


def topic_level(name: str) -> str:
    """A line's name as one level of a topic."""
    return "".join("-" if each in "/+#$\0" else each for each in name)
