"""The table of ratios."""

WIDTHS = (34, 10, 9, 9, 7, 12, 7)
COLUMNS = ("", "CPU s", "ours / it", "to reach", "", "criterion", "eval.")


def row(*cells):
    """One line: the first cell left, the others right."""
    first, *rest = (str(cell) for cell in cells)
    widths = zip(rest, WIDTHS[1:], strict=True)
    return "  ".join([first.ljust(WIDTHS[0]), *(c.rjust(w) for c, w in widths)]).rstrip()


def heading(machine):
    """Say what the numbers are."""
    return "\n".join(
        [
            f"{machine}; medians of repetitions in turns, one thread.",
            "Criterion: a peer's less ours, by one formula for both; ours: less the formula.",
            "Evaluations: of ours, values / slopes; limits do as many.",
            "",
            row(*COLUMNS),
        ]
    )


def lines(name, what, seconds, ours, targets, gaps=None, evaluations=None):
    """One block: our side first, then each other with the ratio and whether it is reached."""
    out = [f"{name}  {what}"]
    for side, used in seconds.items():
        ratio, target = seconds[ours] / used, targets.get(side)
        gap, count = (gaps or {}).get(side), (evaluations or {}).get(side)
        reached = "" if target is None else "yes" if ratio <= target else "NO"
        out.append(
            row(
                f"      {side}",
                f"{used:.4f}" if used < 1 else f"{used:.2f}",
                "" if side == ours else f"{ratio:.3f}",
                "" if target is None else f"{target:.3f}",
                reached,
                "" if gap is None else f"{gap:+.1e}",
                "" if count is None else count,
            )
        )
    return out
