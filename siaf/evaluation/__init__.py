"""Measuring: metrics, the scribble robot, DAVIS folders, baselines, composites; nothing here is needed to segment."""
