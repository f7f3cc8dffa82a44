"""Looking at an opened page with axe, which knows the rules of accessible pages."""

from pathlib import Path

import axe_playwright_python

SCRIPT = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]

# Formulas are pictures, and stand for nothing else: typesetting them is left out.
PLAIN = """() => {
    for (const formula of document.querySelectorAll(".math")) formula.textContent = "x";
}"""
UNFOLD = """() => {
    for (const part of document.querySelectorAll("main details")) part.open = true;
    for (const part of document.querySelectorAll("main .toggle-button-hidden")) part.click();
}"""
# Once their colours are known, the words of code are one text.
FLATTEN = """() => {
    for (const code of document.querySelectorAll(".highlight pre"))
        code.textContent = code.textContent;
}"""
# A page from the disk may not read its style sheets, so axe does not try.
RUN = """([where, options]) => axe.run(
    where, {resultTypes: ["violations"], preload: false, ...options}).then(
    found => found.violations.flatMap(violation => violation.nodes.map(
        node => `${violation.id}: ${node.html.slice(0, 150)}: ${node.failureSummary}`)))"""
# Words whose ancestors have the same tags, classes and styles, under the same style sheets, have
# the same colours: of each kind, axe computes the contrast of one. The kinds that are known are
# left out; those that are new come back beside what is found.
CONTRASTS = f"""async ([known, aside]) => {{
    const around = [document.documentElement, document.body].map(e => e.className);
    for (const sheet of document.styleSheets)
        around.push(sheet.href || sheet.ownerNode.textContent);
    const number = [...around.join()].reduce((sum, c) => (31 * sum + c.charCodeAt()) | 0, 7);
    const skip = new Set(known), kinds = new Map();
    let words = 0;
    for (const here of document.body.querySelectorAll("*")) {{
        const own = [...here.childNodes].some(n => n.nodeType === 3 && n.data.trim().length > 1);
        if (!own || !here.checkVisibility() || here.closest("svg")) continue;
        if (here.closest(aside)) continue;
        words++;
        let kind = number + ";";
        for (let e = here; e !== document.body; e = e.parentElement)
            kind += [e.tagName, e.className, e.getAttribute("style")].join() + ";";
        if (!skip.has(kind) && !kinds.has(kind)) kinds.set(kind, here);
    }}
    if (!words) return [["no words"], []];
    if (!kinds.size) return [[], []];
    if (!window.axe) return null;
    const only = {{runOnly: ["color-contrast"]}};
    return [await ({RUN})([{{include: [...kinds.values()]}}, only]), [...kinds.keys()]];
}}"""


def new_kinds(page, known, aside="nothing"):
    """Whether there are words of a kind that is not known, on a page that has no axe yet."""
    told = page.evaluate(CONTRASTS, [sorted(known), aside])
    assert told in (None, [[], []]), told
    return told is None


def pale_words(page, known=None, aside="nothing"):
    """Words that stand out too little; kinds of words without fault are noted in ``known``.

    Those in what the selector ``aside`` finds are left out.
    """
    asked = [sorted(known or ()), aside]
    told = page.evaluate(CONTRASTS, asked)
    if told is None:  # there is a new kind, and no axe
        load(page)
        told = page.evaluate(CONTRASTS, asked)
    found, new = told
    if known is not None and not found:
        known.update(new)
    return found


def load(page):
    """Bring axe to a page that does not have it."""
    if not page.evaluate("!!window.axe"):
        page.evaluate(SCRIPT)


def violations(page, words=True):
    """What axe finds on the whole page, the theme's part included; with all words, or without."""
    load(page)
    options = {"runOnly": RULES, "rules": {"color-contrast": {"enabled": words}}}
    return page.evaluate(RUN, ["html", options])


def switch(page, scheme):
    """What a reader's system does at nightfall; the theme follows."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function(f"document.documentElement.dataset.theme === '{scheme}'")
