([n, position], data, { say }) => {
  const { mean, tau2, at } = data, lambda = 10 ** position;
  const share = n / (n + lambda), centre = share * mean;
  const hill = (m, v) => [at.map(x => [x, Math.exp(-((x - m) ** 2) / 2 / v)])];
  const rows = n === 1 ? "1 row" : n + " rows";
  return {
    words: [rows, "\u03bb = " + say(lambda)],
    now: `${rows} against a penalty worth ${say(lambda)}: the group keeps ${say(share)} of its ` +
      `mean ${say(mean)}, and is predicted at ${say(centre)}.`,
    marks: {
      shares: [Array.from({ length: 30 }, (_, k) => [k + 1, (k + 1) / (k + 1 + lambda)])],
      share: [[n, share]],
      prior: hill(0, tau2 / lambda),
      rows: hill(mean, tau2 / n),
      posterior: hill(centre, tau2 / (n + lambda)),
      peak: [[centre, 1]],
    },
    numbers: { rows: n, "\u03bb": lambda, "share kept": share, prediction: centre },
  };
}
