"""Curves through points, many at once, that rise and fall only where the points do.

Piecewise cubic Hermite interpolation with the slopes of Fritsch and Butland (1984), as
``scipy.interpolate.PchipInterpolator`` has it for one set of nodes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..inputs import Array


@dataclass(frozen=True, eq=False)
class Cubics:
    """A curve for each line, through its values at its nodes; beyond them as at the last."""

    nodes: Array
    """Rising along each line, shape (lines, n), n >= 2."""
    values: Array
    """Shape (lines, n)."""
    slopes: Array
    """At the nodes, shape (lines, n)."""

    @classmethod
    def through(cls, nodes: Array, values: Array) -> "Cubics":
        """Curves through points; ``nodes`` may be one line for all."""
        nodes = np.broadcast_to(nodes, values.shape)
        return cls(nodes, values, _slopes(np.diff(nodes), np.diff(values)))

    def at(self, line: npt.NDArray[np.intp], place: Array) -> Array:
        """The curve of a line at a place on it, for vectors of both."""
        place = np.clip(place, self.nodes[line, 0], self.nodes[line, -1])
        passed = (self.nodes[line, 1:-1] <= place[:, None]).sum(axis=1)
        x, y, slope = (each[line, passed] for each in (self.nodes, self.values, self.slopes))
        x1, y1, slope1 = (each[line, passed + 1] for each in (self.nodes, self.values, self.slopes))
        width = x1 - x
        u = (place - x) / width
        bend = slope + slope1 - 2 * (y1 - y) / width
        pull = (y1 - y) / width - slope - bend
        return np.asarray(y + width * u * (slope + u * (pull + u * bend)))


def _slopes(width: Array, rise: Array) -> Array:
    """Slopes at the nodes: weighted harmonic means of those of the chords, 0 at a turn."""
    chord = rise / width
    if chord.shape[1] == 1:
        return np.repeat(chord, 2, axis=1)
    before = chord[:, :-1]
    after = chord[:, 1:]
    of_before = width[:, :-1] + 2 * width[:, 1:]
    of_after = 2 * width[:, :-1] + width[:, 1:]
    same_way = before * after > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (of_before + of_after) / (of_before / before + of_after / after)
    inner = np.where(same_way, mean, 0.0)
    first = _at_an_end(width[:, 0], width[:, 1], chord[:, 0], chord[:, 1])
    last = _at_an_end(width[:, -1], width[:, -2], chord[:, -1], chord[:, -2])
    return np.column_stack([first, inner, last])


def _at_an_end(width: Array, next_width: Array, chord: Array, next_chord: Array) -> Array:
    """The slope of a parabola through three points, bent so that it turns where they do."""
    slope = ((2 * width + next_width) * chord - width * next_chord) / (width + next_width)
    turns = np.sign(chord) != np.sign(next_chord)
    slope = np.where(turns & (np.abs(slope) > 3 * np.abs(chord)), 3 * chord, slope)
    return np.where(np.sign(slope) == np.sign(chord), slope, 0.0)
