// Folds: a row of buttons opens or closes all of a kind, and the choice stays from page to page.
{
  const kinds = {
    "proofs": "details.proof-fold",
    "answers": "details.answer",
    "code and tests": "details.source",
    "folded code": "details.hide",
    "second reading": "details.second",
  };
  const key = kind => `folds: ${kind}`;
  const kept = kind => { try { return localStorage.getItem(key(kind)); } catch { return null; } };
  const keep = (kind, choice) => { try { localStorage.setItem(key(kind), choice); } catch {} };
  const folds = kind => [...document.querySelectorAll(`article ${kinds[kind]}`)];
  const all = kind => folds(kind).every(fold => fold.open);

  // The build wrote the buttons, so that nothing moves when they begin to work.
  const row = () => {
    for (const button of document.querySelectorAll(".fold-kinds > button")) {
      const kind = button.textContent;
      if (kept(kind)) for (const fold of folds(kind)) fold.open = kept(kind) === "open";
      const tell = () => button.setAttribute("aria-pressed", all(kind));
      button.addEventListener("click", () => {
        const choice = all(kind) ? "closed" : "open";
        for (const fold of folds(kind)) fold.open = choice === "open";
        keep(kind, choice);
      });
      for (const fold of folds(kind)) fold.addEventListener("toggle", tell);
      tell();
    }
  };

  // A link to something folded opens it.
  const open = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    let fold = target?.closest("details:not([open])");
    if (!fold) return;
    for (; fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
  };

  // On paper proofs, answers and second readings are open; code is as you left it.
  const printed = "article :is(details.proof-fold, details.answer, details.second):not([open])";
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(printed)];
    for (const fold of opened) fold.open = true;
  });
  addEventListener("afterprint", () => {
    for (const fold of opened) fold.open = false;
  });

  document.addEventListener("DOMContentLoaded", row);
  addEventListener("load", open);
  addEventListener("hashchange", open);
}
