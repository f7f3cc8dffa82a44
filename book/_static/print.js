/* On paper a page is light, whatever it is on the screen. */
{
  const shown = document.documentElement.dataset;
  addEventListener("beforeprint", () => {
    shown.themeOnScreen ??= shown.theme;
    shown.theme = "light";
  });
  addEventListener("afterprint", () => {
    shown.theme = shown.themeOnScreen ?? shown.theme;
    delete shown.themeOnScreen;
  });
}
