"""What is known of the strip: its place, its coil, its plan, its marks. No socket, no clock."""
