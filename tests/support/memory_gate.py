"""A gate without a PLC."""

from collections import deque

from inspector.sinks.gate.gate import Block


class MemoryGate:
    """A gate without a PLC: keeps the blocks it receives, and can be made unreachable."""

    def __init__(self, keep: int = 1000) -> None:
        self.blocks: deque[Block] = deque(maxlen=keep)
        self.reachable = True
        self.run_before: int | None = None

    def tell(self, block: Block) -> bool:
        """Keep the block while reachable."""
        if self.reachable:
            self.blocks.append(block)
        return self.reachable

    def close(self) -> None:
        """Nothing to disconnect."""
