([position], data, { solve, say }) => {
  const kappa = 10 ** position, { alpha, cov } = data;
  const wide = cov.map((row, i) => row.map((v, j) => v + (i === j ? kappa : 0)));
  const times = v => cov.map(row => row.reduce((sum, c, j) => sum + c * v[j], 0));
  const pull = times(solve(wide, alpha));                     // S (alpha_hat - 0)
  const shrunk = cov.map(column => times(solve(wide, column)));  // S cov, symmetric
  const largest = v => Math.max(...v.flat().map(Math.abs));
  const mean = largest(pull), covariance = largest(shrunk);
  const hill = (m, v) => data.at.map(x => [x, Math.exp(-((x - m) ** 2) / 2 / v)]);
  return {
    words: ["\u03ba = " + say(kappa)],
    now: `Prior sd ${say(Math.sqrt(kappa))}. The posterior mean is ${say(mean)} away from the ` +
      `flat prior's, the covariance ${say(covariance)}.`,
    marks: {
      prior: [hill(0, kappa)],
      posterior: [hill(alpha[0] - pull[0], cov[0][0] - shrunk[0][0])],
      mean: [[position, Math.log10(mean)]],
      covariance: [[position, Math.log10(covariance)]],
    },
    numbers: { "\u03ba": kappa, "prior sd": Math.sqrt(kappa),
      "gap of the mean": mean, "gap of the covariance": covariance },
  };
}
