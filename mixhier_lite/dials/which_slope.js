([pooling, n], data, { say }) => {
  const points = data.points.map(group => group.slice(0, n)), J = points.length;
  const mean = v => v.reduce((t, x) => t + x, 0) / v.length;
  const x = points.map(g => mean(g.map(p => p[0]))), y = points.map(g => mean(g.map(p => p[1])));
  const cross = (u, v) => u.reduce((t, p, i) => t + (p - mean(u)) * (v[i] - mean(v)), 0);
  let Wxx = 0, Wxy = 0;
  for (const g of points) {
    const [u, v] = [0, 1].map(k => g.map(p => p[k]));
    Wxx += cross(u, u);
    Wxy += cross(u, v);
  }
  const Bxx = n * cross(x, x), Bxy = n * cross(x, y);
  const between = data.phi[n - 2];     // weight of comparisons between groups, by REML
  const phi = pooling < 1 ? 1 - pooling * (1 - between) : between * (2 - pooling);
  const slope = (Wxy + phi * Bxy) / (Wxx + phi * Bxx);
  const level = mean(y) - slope * mean(x);
  const lift = y.map((v, j) => (1 - phi) * (v - level - slope * x[j]));
  const name = pooling === 0 ? "complete pooling" : pooling === 1 ? "partial pooling"
    : pooling === 2 ? "no pooling" : "on the way";
  const at = Math.log10(n), all = (Wxy + Bxy) / (Wxx + Bxx);
  return {
    words: [name, n + " rows per group"],
    now: `Slope ${say(slope)}, with weight ${say(phi)} on comparisons between groups. ` +
      `Between ${say(Bxy / Bxx)}, pooled ${say(all)}, within ${say(Wxy / Wxx)}.`,
    marks: {
      points,
      lines: x.map((m, j) => [m - 2.2, m + 2.2].map(u => [u, level + lift[j] + slope * u])),
      between: [[at, Bxy / Bxx]],
      within: [[at, Wxy / Wxx]],
      slope: [[at, slope]],
    },
    numbers: { "rows per group": n, between: Bxy / Bxx, pooled: all, "this dial": slope,
      within: Wxy / Wxx, "weight of between": phi },
  };
}
