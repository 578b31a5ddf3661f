"""What an evaluation counts beside pixels: frames, defects, boxes, scores, and how sure each figure is."""
