// What scrolls can be reached by keys: the theme measures boxes anew when the window changes,
// and has to do so too when a folded part opens.
for (const kind of ["toggle", "click"])
  document.addEventListener(kind, event => {
    if (kind === "toggle" || event.target.closest?.(".toggle-button, .admonition-title"))
      dispatchEvent(new Event("resize"));
  }, true);

// A display wider than its box scrolls, so keys must reach it; it fades where there is more, and
// so do code and tables.
{
  const fade = box => {
    const hidden = box.scrollWidth - box.clientWidth;
    box.classList.toggle("more-left", hidden > 1 && box.scrollLeft > 1);
    box.classList.toggle("more-right", hidden - box.scrollLeft > 1);
    return hidden > 1;
  };
  const unlisted = "article pre, article .pst-scrollable-table-container";  // the theme's stops
  const stops = () => {
    for (const box of document.querySelectorAll(unlisted)) fade(box);
    for (const box of document.querySelectorAll("m-f[display]"))
      if (fade(box)) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
  };
  addEventListener("load", stops);
  addEventListener("resize", stops);
  addEventListener("scroll", event => {
    if (event.target.matches?.(`${unlisted}, m-f[display]`))
      fade(event.target);
  }, true);
}

// A link to a solution opens it: the solution's own button does.
{
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    target?.closest(".toggle-hidden")?.querySelector(".toggle-button-hidden")?.click();
  };
  addEventListener("load", open);
  addEventListener("hashchange", open);
}
