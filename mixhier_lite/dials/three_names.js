([position], data, { solve, say }) => {
  const lambda = 10 ** position, { n, XX, DX, Xy, Dy, tau2 } = data, sigma2 = tau2 / lambda;
  const p = Xy.length, J = n.length, dot = (u, v) => u.reduce((t, x, i) => t + x * v[i], 0);
  const column = k => DX.map(row => row[k]);
  const eye = (i, j, v) => i === j ? v : 0;
  // ridge: alpha is projected out, lambda stands on the diagonal
  const inside = v => { const a = solve(XX, v); return DX.map(row => dot(row, a)); };
  const ridge = solve(
    DX.map((row, i) => inside(row).map((v, j) => eye(i, j, n[i] + lambda) - v)),
    inside(Xy).map((v, i) => Dy[i] - v));
  // posterior: precisions of the data and of the prior are added
  const precision = [
    ...XX.map((row, i) => [...row, ...column(i)].map(v => v / tau2)),
    ...DX.map((row, i) => [...row.map(v => v / tau2),
      ...n.map((_, j) => eye(i, j, n[i] / tau2 + 1 / sigma2))])];
  const posterior = solve(precision, [...Xy, ...Dy].map(v => v / tau2)).slice(p);
  // BLUP: generalised least squares, then n / (n + lambda) of each mean residual
  const w = n.map(m => m / (m + lambda));
  const less = (u, v) => u.reduce((t, x, j) => t + w[j] * x * v[j] / n[j], 0);
  const alpha = solve(
    XX.map((row, i) => row.map((v, k) => v - less(column(i), column(k)))),
    Xy.map((v, i) => v - less(column(i), Dy)));
  const rest = n.map((m, j) => (Dy[j] - dot(DX[j], alpha)) / m);
  const blup = rest.map((r, j) => w[j] * r);
  const gap = Math.max(...blup.flatMap((b, j) => [ridge[j], posterior[j]].map(v => Math.abs(v - b))));
  const spread = Math.max(...blup) - Math.min(...blup), sd = Math.sqrt(sigma2);
  const hill = b => Math.exp(-b * b / 2 / sigma2);
  return {
    words: ["\u03bb = " + say(lambda) + " records"],
    now: `The prior has sd ${say(sd)}. Lowest to highest effect: ${say(spread)}. ` +
      (gap < 1e-9 ? "Ridge, posterior and BLUP agree to 1e-9." : `They differ by ${say(gap)}.`),
    marks: {
      cursor: [[[position, data.low], [position, data.high]]],
      ridge: ridge.map(b => [position, b]),
      prior: [data.at.map(b => [hill(b), b])],
      posterior: posterior.map(b => [hill(b), b]),
      pull: blup.map((b, j) => [[j + 1, rest[j]], [j + 1, b]]),
      rest: rest.map((r, j) => [j + 1, r]),
      blup: blup.map((b, j) => [j + 1, b]),
    },
    numbers: { "penalty \u03bb": lambda, "prior sd": sd, "lowest to highest effect": spread },
    gap,
  };
}
