"""What a verdict pays for being counted, watched and told to a PLC on this PC, in µs.

python -m tests.benchmarks.verdict_costs
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from inspector.config.line import LoadedConfig, load_config
from inspector.config.recipe import LoadedRecipe, load_recipe
from inspector.config.sinks import GateSettings, HealthSettings
from inspector.core.rules import BoundRecipe, EngineClasses
from inspector.core.verdicts import Outcome
from inspector.decide.decide import Decide
from inspector.decide.monitor import Monitor
from inspector.engine.manifest import open_folder
from inspector.machine import machine
from inspector.monitoring.prometheus import exposition
from inspector.sinks.gate.feed import GateFeed
from inspector.sinks.gate.modbus import ModbusGate
from inspector.sinks.sinks import Sinks
from inspector.values import Decision, Verdict, Working
from tests.support.lines import LineUnderTest
from tests.support.plc import BASE, DEVICE, PLC

ROUNDS = 2000
STAGE_MS = {"transfer": 0.4, "batch": 3.0, "engine": 9.0, "decide": 0.2, "total": 12.6}


def outcome(frame_id: int) -> Outcome:
    """An accepted frame."""
    verdict = Verdict("top", frame_id, 0, 128.0 * frame_id, None, Decision.ACCEPT, (), (), "r", "e", STAGE_MS)
    return Outcome(verdict, total_ms=12.6)


def timed(name: str, work: Callable[[int], object], rounds: int = ROUNDS, per_call: int = 1) -> None:
    """Median, 99 % and longest of many calls."""
    times = []
    for index in range(rounds):
        start = time.perf_counter_ns()
        work(index)
        times.append((time.perf_counter_ns() - start) / per_call / 1e3)
    times.sort()
    print(f"{name:52s} {times[rounds // 2]:9.1f} {times[rounds * 99 // 100]:9.1f} {times[-1]:9.1f}")


def main() -> None:
    """The table."""
    print(f"{'µs':52s} {'median':>9s} {'99 %':>9s} {'longest':>9s}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = LineUnderTest(folder).config
        loaded = load_config(config)
        recipe, engine = load_recipe(loaded.line.recipe), open_folder(loaded.line.engine).classes
        _counting(loaded, recipe, engine)
        _gate(folder, recipe.bind(engine))
    print(machine())


def _counting(config: LoadedConfig, recipe: LoadedRecipe, engine: EngineClasses) -> None:
    bound = recipe.bind(engine)
    monitor = Monitor(HealthSettings(port=19464), config, bound, engine.engine)
    meters = monitor.meters
    each = outcome(0)
    timed("counting one verdict", lambda _: [meters.verdict(each) for _ in range(100)], per_call=100)  # type: ignore[func-returns-value]
    working = Working(7, 2, (8,))
    timed(
        "counting one message of results",
        lambda _: [meters.worker("e", working) for _ in range(100)],  # type: ignore[func-returns-value]
        per_call=100,
    )
    decide = Decide(["top"], recipe, engine, 10**9, meters)
    sinks = Sinks(config, bound, None)
    timed(
        "laying down how the line stands, 5 times a second",
        lambda index: monitor.look(decide, sinks, index * 10**9),
    )
    state = monitor.state(decide, sinks, 0)
    timed("one scrape of /metrics, in its own thread", lambda _: exposition(state, 0, 10**9), rounds=200)
    sinks._pictures.close()


def _gate(folder: Path, recipe: BoundRecipe) -> None:
    plc = PLC(folder).start()
    settings = GateSettings(host="127.0.0.1", port=plc.port, device_id=DEVICE, base_register=BASE, timeout_ms=500)
    feed = GateFeed(ModbusGate(settings), ["top"], recipe, 200.0)
    turn = partial(feed.turn, pending=0, silent=False)
    while not feed.taking:
        time.sleep(0.05)
        turn([])
    timed("gate, one verdict a write", lambda index: turn([outcome(index)]))
    for count in (4, 8, 14):
        some = [outcome(index) for index in range(count)]
        timed(f"gate, {count} verdicts a write, each", lambda _, some=some: turn(some), per_call=count)  # type: ignore[misc]
    plc.stop()
    turn([outcome(0)])
    timed("gate gone, one verdict", lambda index: turn([outcome(index)]))
    feed.close()


if __name__ == "__main__":
    main()
