"""What `trainer check-data` says of a folder of labelled frames: as text, as JSON, and as a page with pictures."""
