// @ts-check
// A classic script, so that the chosen theme stands before the first paint; everything else about it is in main.js.
try {
  const { theme } = JSON.parse(localStorage.getItem("talkover.settings") ?? "{}");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // storage is refused in some private modes: the system's theme it is
}
