"""The engine for the public sample of Severstal's frames: how its data is dealt and mixed, how it is judged."""
