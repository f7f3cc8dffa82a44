({
  solve(A, b) {  // Gauss elimination; A is positive definite and needs no pivots
    const M = A.map((row, i) => [...row, b[i]]), n = M.length;
    for (let k = 0; k < n; k++)
      for (let i = 0; i < n; i++) {
        const f = M[i][k] / M[k][k];
        if (i !== k) for (let j = k; j <= n; j++) M[i][j] -= f * M[k][j];
      }
    return M.map((row, i) => row[n] / row[i]);
  },
  say: v => String(+v.toPrecision(3)).replace("-", "\u2212"),
  turn(root, see) {
    const knobs = [...root.querySelectorAll("input")];
    const show = () => {
      const seen = root.seen = see(knobs.map(knob => +knob.value));
      knobs.forEach((knob, i) => {
        knob.setAttribute("aria-valuetext", seen.words[i] + ". " + seen.now);
        knob.nextElementSibling.textContent = seen.words[i];
      });
      root.querySelector(".now").textContent = seen.now;
      for (const mark of root.querySelectorAll("[data-mark]")) {
        const [a, b, c, d] = mark.ownerSVGElement.dataset.scale.split(" ").map(Number);
        const at = ([x, y]) => (a + b * x).toFixed(1) + " " + (c + d * y).toFixed(1);
        const draw = {
          line: (shape, piece) => shape.setAttribute("d", "M" + piece.map(at).join("L")),
          specks: (shape, piece) => shape.setAttribute("d", piece.map(p => `M${at(p)}h0`).join("")),
          dots: (shape, piece) => shape.setAttribute("transform", `translate(${at(piece)})`),
          label: (shape, piece) => { draw.dots(shape, piece); shape.textContent = piece[2]; },
        };
        const shapes = mark.children;
        seen.marks[mark.dataset.mark].forEach((p, i) => draw[mark.dataset.kind](shapes[i], p));
      }
    };
    knobs.forEach(knob => knob.addEventListener("input", show));
    root.classList.add("live");
    show();
  },
})
