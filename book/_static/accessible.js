// What scrolls can be reached by keys: the theme measures boxes anew when the window changes,
// and has to do so too when a folded part opens.
for (const kind of ["toggle", "click"])
  document.addEventListener(kind, event => {
    if (kind === "toggle" || event.target.closest?.(".toggle-button, .admonition-title"))
      dispatchEvent(new Event("resize"));
  }, true);

// The renderer of formulas makes a stop of each, hundreds on a page: only wide ones need it.
const stops = () => {
  for (const formula of document.querySelectorAll("mjx-container"))
    formula.tabIndex = formula.matches("[display]") && formula.scrollWidth > formula.clientWidth
      ? 0 : -1;
};
addEventListener("load", () => window.MathJax?.startup?.promise?.then(stops));
addEventListener("resize", stops);
