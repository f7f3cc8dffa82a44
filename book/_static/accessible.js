// What scrolls can be reached by keys: the theme measures boxes anew when the window changes,
// and has to do so too when a folded part opens.
for (const kind of ["toggle", "click"])
  document.addEventListener(kind, event => {
    if (kind === "toggle" || event.target.closest?.(".toggle-button, .admonition-title"))
      dispatchEvent(new Event("resize"));
  }, true);

// A display wider than its box scrolls, so keys must reach it.
const stops = () => {
  for (const formula of document.querySelectorAll("mjx-container[display]"))
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
};
addEventListener("load", stops);
addEventListener("resize", stops);
