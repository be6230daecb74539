"""Labeling by people: a project in a folder, its record of answers, and the formats in which labels come and go."""
