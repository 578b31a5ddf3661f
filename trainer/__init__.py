"""What makes engines: from labelled frames to an engine folder the line can trust."""
