"""Grading worksheets that were handed in, each in a process of its own."""
