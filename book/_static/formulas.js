// What is copied from a page holds the TeX of its formulas, $...$ in a line and $$...$$ on lines
// of their own, with their numbers as tags.
{
  const tex = formula => {
    const display = formula.closest("div.math");
    if (!display) return `$${formula.getAttribute("tex")}$`;
    const number = display.querySelector(".eqno")?.firstChild.data.slice(1, -1);
    return `$$ ${formula.getAttribute("tex")}${number ? ` \\tag{${number}}` : ""} $$`;
  };

  // The part of the page that is selected, where a formula is whole or not there.
  const copied = range => {
    const whole = range.cloneRange();
    const formula = end => (end.parentElement ?? end).closest?.("m-f");
    const [first, last] = [formula(range.startContainer), formula(range.endContainer)];
    if (first) whole.setStartBefore(first.closest("div.math") ?? first);
    if (last) whole.setEndAfter(last.closest("div.math") ?? last);
    const part = document.createElement("div");
    part.append(whole.cloneContents());
    return part;
  };

  addEventListener("copy", event => {
    const selection = getSelection();
    if (!event.clipboardData || selection.isCollapsed || !selection.rangeCount) return;
    const part = copied(selection.getRangeAt(0));
    const formulas = part.querySelectorAll("m-f");
    if (!formulas.length) return;
    for (const formula of formulas) formula.replaceWith(tex(formula));
    for (const mark of part.querySelectorAll(".eqno, a.headerlink, svg.letters")) mark.remove();
    part.style.cssText = "position: absolute; left: -9999px";
    document.querySelector("article").append(part);  // lines break where the page breaks them
    event.clipboardData.setData("text/plain", part.innerText);
    part.remove();
    part.removeAttribute("style");
    event.clipboardData.setData("text/html", part.innerHTML);
    event.preventDefault();
  });
}
