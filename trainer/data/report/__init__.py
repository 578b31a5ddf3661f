"""Report of `trainer check-data` on a folder of labelled frames: text, JSON, or a page with pictures."""
