"""The strip as pure state: position, coils, plans, defects and marks. No socket, file or clock."""
