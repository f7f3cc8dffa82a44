([position], data, { solve, say }) => {
  const s = 10 ** position, { b, alpha, Sigma, S, G } = data;
  const sum = Sigma.map((row, i) => row.map((v, j) => s * v + S[i][j]));
  const form = (A, v) => v.reduce((t, x, i) => t + x * (A[i][0] * v[0] + A[i][1] * v[1]), 0);
  const ends = b.map(point => {                       // alpha + W (b - alpha)
    const u = solve(sum, point.map((x, k) => x - alpha[k]));
    return alpha.map((x, k) => x + s * (Sigma[k][0] * u[0] + Sigma[k][1] * u[1]));
  });
  const moved = b.map((p, j) => Math.sqrt(form(G, [p[0] - ends[j][0], p[1] - ends[j][1]])));
  const most = moved.indexOf(Math.max(...moved)), who = data.names[most];
  const root = Math.sqrt(s);
  return {
    words: ["prior sds \u00d7 " + say(root)],
    now: `Person ${who} moves most, by ${say(moved[most])} ms. All ${b.length} together: ` +
      `${say(Math.hypot(...moved) / Math.sqrt(b.length))} ms, root mean square.`,
    marks: {
      arrows: b.map((p, j) => [p, ends[j]]),
      hills: data.radii.map(r => data.ring.map(p => alpha.map((x, k) => x + root * r * p[k]))),
      moved: moved.map(m => [position, Math.log10(m)]),
      who: [[...b[most], who]],
      most: [[position, Math.log10(moved[most]), who]],
    },
    numbers: { "prior sds times": root, "moves most": +who, "by, ms": moved[most],
      "all, ms": Math.hypot(...moved) / Math.sqrt(b.length) },
  };
}
