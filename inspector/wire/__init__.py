"""What travels between the processes, and over which links."""
