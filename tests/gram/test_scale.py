"""Data larger than memory: streamed, or gathered by workers of which one dies."""

import os
import shutil
import signal
import sys
import threading
import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from mixhier_lite import Gram, InputError, Term, fit, gather, gather_partitions, indicator

MB = 10**6
LIMIT, PARTITIONS, ROWS, J = 240 * MB, 202, 100_000, 2_000


def simulated(k, rows=ROWS, levels=J):
    """Partition k: a part of the levels only, so that partitions must unite theirs."""
    rng = np.random.default_rng([14, k])
    g = (rng.integers(0, 300, rows) + 17 * k) % levels
    X = np.ones((rows, 5))
    X[:, 1:] = rng.normal(size=(rows, 4))
    y = X @ [3.0, 1.0, -1.0, 0.5, 0.0] + 2 * np.sin(g) + rng.normal(size=rows)
    return y, X, g


def assert_same(a, b):
    """Two fits agree to 1e-9 in all that they estimate and predict."""
    assert a.gram.n == b.gram.n and a.names == b.names
    assert a.criterion == pytest.approx(b.criterion, rel=1e-9)
    assert a.tau2 == pytest.approx(b.tau2, rel=1e-9)
    for x, y in [(a.fixed, b.fixed), (a.fixed_cov, b.fixed_cov), (a.Sigma[0], b.Sigma[0])]:
        assert np.allclose(x, y, rtol=1e-9, atol=1e-9 * np.abs(y).max())
    assert a.levels[0].tolist() == b.levels[0].tolist()
    assert np.allclose(a.random[0], b.random[0], rtol=1e-9, atol=1e-9)
    assert np.allclose(a.random_cov[0], b.random_cov[0], rtol=1e-9)


def parquet_to_gram(folder):
    """A function of a file's name, to run on a worker; it keeps a diary of who gathered what."""

    def to_gram(file):
        import os
        from pathlib import Path

        import numpy as np
        import pyarrow.parquet as pq

        from mixhier_lite import Gram, Term

        table = pq.ParquetFile(file).read(use_threads=False)  # loads no pandas
        y, g, *x = (np.from_dlpack(table[name].chunk(0)) for name in table.column_names)
        X = np.column_stack([np.ones(len(y)), *x])
        gram = Gram.from_arrays(y, X, Term(g), names=["(Intercept)", *table.column_names[2:]])
        status = Path("/proc/self/status")  # the largest memory so far, where the system tells
        lines = (
            status.read_text(encoding="utf-8").splitlines() if status.exists() else ["VmHWM: 0 kB"]
        )
        peak = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
        with open(folder / f"{os.getpid()}.diary", "a", encoding="utf-8") as diary:
            diary.write(f"{Path(file).stem} {peak}\n")
        return gram

    return to_gram


def diaries(folder):
    """What each process has gathered so far: {pid: [(partition, peak memory in bytes), ...]}."""
    found = {}
    for diary in folder.glob("*.diary"):
        words = [line.split() for line in diary.read_text(encoding="utf-8").splitlines()]
        found[int(diary.stem)] = [(part, 1024 * int(peak)) for part, peak in words]
    return found


def kill_one_midway(folder, seen):
    """When a quarter of the partitions is done, kill the process that did most of them."""
    while sum(map(len, diaries(folder).values())) < PARTITIONS // 4:
        time.sleep(0.01)
    pid = max((rows := diaries(folder)), key=lambda pid: len(rows[pid]))
    os.kill(pid, signal.SIGKILL)
    seen.update(pid=pid, done=len({part for done in rows.values() for part, _ in done}))


@pytest.fixture
def folder(tmp_path):
    """A place for a gigabyte, which is not kept."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_a_worker_dies_and_the_answer_is_that_of_one_machine(folder):
    """Two workers whose memory together is less than half of the data; one is killed midway."""
    pa = pytest.importorskip("pyarrow")
    distributed = pytest.importorskip("distributed")
    import dask
    import pyarrow.parquet as pq

    n = PARTITIONS * ROWS
    y, X, g = np.empty(n), np.empty((n, 5)), np.empty(n, dtype=np.int64)
    files = []
    for k in range(PARTITIONS):
        rows = slice(k * ROWS, (k + 1) * ROWS)
        y[rows], X[rows], g[rows] = simulated(k)
        columns = {"y": y[rows], "g": g[rows], **{f"x{i}": X[rows, i] for i in range(1, 5)}}
        files.append(str(folder / f"{k}.parquet"))
        pq.write_table(pa.table(columns), files[-1], compression="none", use_dictionary=False)
    sizes = [os.path.getsize(file) for file in files]
    assert sum(sizes) >= 2 * (2 * LIMIT) and max(sizes) <= LIMIT / 10

    cluster = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": LIMIT, "host": "127.0.0.1"}
    cluster |= {"dashboard_address": None, "local_directory": str(folder)}
    memory = {"target": False, "spill": False, "pause": False, "terminate": 0.95}
    seen = {}
    killer = threading.Thread(target=kill_one_midway, args=(folder, seen), daemon=True)
    with (
        dask.config.set({f"distributed.worker.memory.{k}": v for k, v in memory.items()}),
        distributed.LocalCluster(processes=True, silence_logs="CRITICAL", **cluster) as workers,
        distributed.Client(workers) as client,
    ):
        pids = set(client.run(os.getpid).values())
        killer.start()
        gram = gather_partitions(files, parquet_to_gram(folder))
        killer.join(timeout=10)
        assert seen["pid"] not in client.run(os.getpid).values()

    assert seen["pid"] in pids and seen["done"] <= PARTITIONS / 2, "killed with half to be done"
    diary = diaries(folder)
    gathered = [part for rows in diary.values() for part, _ in rows]
    assert set(gathered) == {str(k) for k in range(PARTITIONS)}
    assert max(peak for rows in diary.values() for _, peak in rows) < LIMIT
    assert_same(fit(gram), fit(y, X, Term(g), names=gram.names))


def arguments(k):
    y, X, g = simulated(k, rows=20_000, levels=500)
    return {"y": y, "X": X, "terms": Term(g)}


def peak_of_streaming(chunks):
    tracemalloc.start()
    gram = gather(arguments(k) for k in range(chunks))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, gram


def test_streaming_takes_the_memory_of_one_chunk():
    """Forty chunks need no more memory than four, and give the fit of all rows."""
    few, _ = peak_of_streaming(4)
    many, gram = peak_of_streaming(40)
    rows = [simulated(k, rows=20_000, levels=500) for k in range(40)]
    y, X, g = (np.concatenate(part) for part in zip(*rows, strict=True))
    assert many < 1.1 * few
    assert many < (y.nbytes + X.nbytes + g.nbytes) / 3
    assert_same(fit(gram), fit(y, X, Term(g)))


@pytest.mark.parametrize("split_every", [2, 3, 8, 100])
@pytest.mark.slow
def test_every_tree_has_the_same_sum(split_every):
    parts = [simulated(k, rows=200, levels=40) for k in range(11)]

    def to_gram(part):
        return Gram.from_arrays(part[0], part[1], Term(part[2]))

    y, X, g = (np.concatenate(part) for part in zip(*parts, strict=True))
    assert_same(fit(gather_partitions(parts, to_gram, split_every)), fit(y, X, Term(g)))


@pytest.mark.slow
def test_a_dask_data_frame():
    """Labels are strings, one partition is empty, and arguments do instead of a Gram."""
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    import dask

    y, X, g = simulated(0, rows=600, levels=40)
    frame = pd.DataFrame({"y": y, "x": X[:, 1], "g": np.char.add("level ", g.astype(str))})
    frame["k"] = np.arange(600) // 100

    def to_gram(part):
        columns = np.column_stack([np.ones(len(part)), part["x"]])
        return {"y": part["y"], "X": columns, "terms": Term(part["g"])}

    parts = dd.from_pandas(frame, npartitions=6, sort=True)
    parts = parts[parts["k"] != 2]
    with dask.config.set(scheduler="synchronous"):
        gram = gather_partitions(parts, to_gram)
    kept = frame[frame["k"] != 2]
    assert parts.npartitions == 6
    assert_same(fit(gram), fit(**to_gram(kept)))


def test_refusals_cross_the_cluster():
    y, X, g = simulated(0, rows=50, levels=5)
    one = {"y": y, "X": X, "terms": Term(g), "names": list("abcde")}
    with pytest.raises(InputError, match="different models"):
        gather_partitions([list("abcde"), list("abced")], lambda names: one | {"names": names})
    with pytest.raises(InputError, match="missing or infinite"):
        gather_partitions([np.nan, 1.0], lambda value: one | {"y": y * value})
    with pytest.raises(InputError, match="nothing to gather"):
        gather_partitions([], lambda part: part)
    with pytest.raises(InputError, match="an integer, 2 or more"):
        gather_partitions([one], lambda part: part, split_every=1)


def test_without_dask(monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.delayed", None)
    with pytest.raises(InputError, match="needs the package dask"):
        gather_partitions([], lambda part: part)


def left_for_the_second(g, h, w, lam):
    """Eliminate factor 1 from Henderson's equations in fractions, entry by entry, and count.

    Returns the matrix that is left for factor 2 and the number of products on its lower triangle.
    """
    J1, J2, products = max(g) + 1, max(h) + 1, 0
    size = J1 + J2
    M = [
        [Fraction(lam[i >= J1]) if i == k else Fraction(0) for k in range(size)]
        for i in range(size)
    ]
    for j, k, weight in zip(g, h, w, strict=True):
        for a in (j, J1 + k):
            for b in (j, J1 + k):
                M[a][b] += weight
    for j in range(J1):
        scaled = {k: M[k][j] / M[j][j] for k in range(j + 1, size) if M[k][j]}
        for k, factor in scaled.items():
            for m in range(j + 1, size):
                if M[j][m]:
                    M[k][m] -= factor * M[j][m]
                    products += m <= k
    return [row[J1:] for row in M[J1:]], products


@pytest.mark.theorem("thm-fill")
@pytest.mark.parametrize("seed", range(6))
def test_what_fills_in(seed):
    """Pattern, signs and number of products, by elimination in exact fractions."""
    rng = np.random.default_rng(seed)
    g = np.append(rng.integers(0, 9, 20), np.arange(9)).tolist()
    h = np.append(rng.integers(0, 7, 20), np.arange(9) % 7).tolist()
    w = [Fraction(int(x), 3) for x in rng.integers(1, 9, len(g))]
    lam = Fraction(int(rng.integers(1, 9)), 2), Fraction(int(rng.integers(1, 9)), 5)
    S, products = left_for_the_second(g, h, w, lam)
    met = [{k for j, k in zip(g, h, strict=True) if j == level} for level in range(9)]
    for k in range(7):
        assert S[k][k] >= lam[1]
        for m in set(range(7)) - {k}:
            together = any({k, m} <= levels for levels in met)
            assert S[k][m] < 0 if together else S[k][m] == 0
    assert products == sum(len(levels) * (len(levels) + 1) // 2 for levels in met)


@pytest.mark.theorem("thm-fill")
def test_nested_factors_leave_a_diagonal_and_one_level_can_fill_all():
    schools = [0, 0, 0, 1, 1, 2]
    S, products = left_for_the_second(range(6), schools, [Fraction(2)] * 6, (3, 5))
    assert all((S[k][m] == 0) == (k != m) for k in range(3) for m in range(3)) and products == 6
    S, _ = left_for_the_second([0, 0, 0, 1], [0, 1, 2, 0], [Fraction(1)] * 4, (3, 5))
    assert all(S[k][m] != 0 for k in range(3) for m in range(3))


@pytest.mark.theorem("thm-fill")
def test_what_is_left_is_the_equation_of_the_chapter():
    """The same matrix from dense algebra, and slopes whose entries cancel."""
    rng = np.random.default_rng(1)
    g, h, w = rng.integers(0, 5, 30), rng.integers(0, 4, 30), rng.integers(1, 5, 30)
    S, _ = left_for_the_second(g.tolist(), h.tolist(), [Fraction(int(x)) for x in w], (2, 3))
    D1, D2 = indicator(g), indicator(h)
    A = D1.T @ (w[:, None] * D1) + 2 * np.eye(5)
    C = D1.T @ (w[:, None] * D2)
    dense = D2.T @ (w[:, None] * D2) + 3 * np.eye(4) - C.T @ np.linalg.solve(A, C)
    assert np.allclose(np.array(S, dtype=float), dense, rtol=1e-12)
    # level 0 of factor 1 meets both levels of factor 2; the slope is 1 and -1 in equal parts
    z, k = np.array([1.0, -1.0, 1.0, 1.0]), np.array([0, 0, 1, 1])
    cross = np.ones((1, 4)) @ (z[:, None] * indicator(k))
    assert cross[0].tolist() == [0.0, 2.0]
