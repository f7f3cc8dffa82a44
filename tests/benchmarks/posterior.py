"""W7: effective draws a second, beside nutpie's."""


def lines():
    try:
        from mixhier_lite import sample  # noqa: F401
    except ImportError:
        return ["W7  mixhier_lite.sample is not there yet"]
    raise NotImplementedError
