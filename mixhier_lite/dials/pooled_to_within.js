([position], { points, tau2 }, { say }) => {
  const sigma2 = 10 ** position, n = points[0].length;
  const mean = v => v.reduce((t, x) => t + x, 0) / v.length;
  const cross = (u, v) => u.reduce((t, p, i) => t + (p - mean(u)) * (v[i] - mean(v)), 0);
  const columns = points.map(g => [0, 1].map(k => g.map(p => p[k])));
  const x = columns.map(([u]) => mean(u)), y = columns.map(([, v]) => mean(v));
  const total = f => columns.reduce((t, [u, v]) => t + f(u, v), 0);
  const Wxx = total((u, v) => cross(u, u)), Wxy = total((u, v) => cross(u, v));
  const Bxx = n * cross(x, x), Bxy = n * cross(x, y);
  const phi = tau2 / (tau2 + n * sigma2);    // weight of comparisons between groups
  const slope = (Wxy + phi * Bxy) / (Wxx + phi * Bxx);
  const level = mean(y) - slope * mean(x);
  const lift = y.map((v, j) => (1 - phi) * (v - level - slope * x[j]));
  return {
    words: ["\u03c3\u00b2 = " + say(sigma2)],
    now: `Slope ${say(slope)}: comparisons between groups count ${say(phi)} of those within.`,
    marks: {
      lines: x.map((m, j) => [m - 2.2, m + 2.2].map(u => [u, level + lift[j] + slope * u])),
      slope: [[position, slope]],
    },
    numbers: { sigma2, slope, "spread of the lines": Math.max(...lift) - Math.min(...lift) },
  };
}
