// @ts-check
// A classic script, so that the theme stands before the first paint; main.js takes over from here.
{
  let theme = "system";
  try {
    theme = JSON.parse(localStorage.getItem("talkover.settings") ?? "{}")?.theme ?? theme;
  } catch {
    // storage is refused in some private modes, or holds something else: the system's theme it is
  }
  const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const dark = theme === "dark" || (theme !== "light" && systemIsDark);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}
