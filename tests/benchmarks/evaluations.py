"""How often a fit evaluates its criterion, and how often with slopes."""

from mixhier_lite.variance.criterion import WithNoise

POINTS = {  # methods of a criterion, and at how many points they evaluate it
    "solve": lambda T: 1,
    "evaluate": lambda T: len(T[0]),
    "derivatives": lambda T: len(T[0]),
    "curvature": lambda T: 1,
    "gradient": lambda T: 1,
}
SLOPES = "derivatives", "curvature", "gradient"


def kinds(of=WithNoise):
    """All kinds of criterion."""
    return [of, *(kind for below in of.__subclasses__() for kind in kinds(below))]


def counted(fit):
    """Run ``fit`` once, untimed; return the numbers of values and of slopes that it asked for.

    Of a crossed model those of the whole; each term alone, where it starts, is not counted.
    """
    asked, inside = {}, [False]

    def watched(name, method):
        def watching(self, *points):
            if inside[0]:
                return method(self, *points)
            inside[0] = True
            own = asked.setdefault(self.dense, {"values": 0, "slopes": 0})
            own["values"] += POINTS[name](*points)
            own["slopes"] += POINTS[name](*points) if name in SLOPES else 0
            try:
                return method(self, *points)
            finally:
                inside[0] = False

        return watching

    own = [(kind, name) for kind in kinds() for name in POINTS if name in vars(kind)]
    before = {(kind, name): vars(kind)[name] for kind, name in own}
    try:
        for (kind, name), method in before.items():
            setattr(kind, name, watched(name, method))
        fit()
    finally:
        for (kind, name), method in before.items():
            setattr(kind, name, method)
    return asked[max(asked)]
