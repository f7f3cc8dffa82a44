"""``lmer`` from a frame whose groups are whole numbers, texts or categories, beside ``fit``."""

import clock
import table
import work

from mixhier_lite import lmer


def lines():
    """W2 and W4 with three kinds of labels."""
    out = []
    for job in (work.small_intercept(), work.slopes()):
        text = job.frame["g1"].map("g{:06d}".format)
        frames = {
            "whole numbers": job.frame,
            "texts": job.frame.assign(g1=text),
            "categories": job.frame.assign(g1=text.astype("category")),
        }
        sides = {"fit (arrays)": lambda job=job: job.fit() and None}
        for kind, frame in frames.items():
            sides[f"lmer, {kind}"] = lambda job=job, frame=frame: lmer(job.formula, frame) and None
        seconds = clock.in_turns(sides, 5)
        out.append(f"{job.name}  {job.what}: lmer over fit, to reach 2")
        for side, used in seconds.items():
            ratio = used / seconds["fit (arrays)"]
            cells = (
                ["", "", ""]
                if side == "fit (arrays)"
                else [f"{ratio:.2f}", "2.00", "yes" if ratio <= 2 else "NO"]
            )
            out.append(table.row(f"      {side}", f"{used:.4f}", *cells, "", ""))
    return out
