"""Figures of an evaluation beside pixel counts: frames, defects, boxes, scores, and their confidence intervals."""
