"""The stages: pure functions and small state machines. They know no socket, file or clock."""
