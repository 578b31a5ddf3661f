"""Turns other tools' labels into the plain layout: images/, masks/ with label maps, classes.json."""
