"""report.html and summary.json of a run: coil map, pictures, figures."""
