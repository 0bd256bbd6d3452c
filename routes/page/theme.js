// Light, dark, or as the system has it. Runs before anything is painted, so that nothing flashes.

const THEMES = ["system", "light", "dark"];
const KEY = "rwkv.theme";

/** @returns {string} */
export function currentTheme() {
  return document.documentElement.dataset.theme ?? "system";
}

/** @param {string | null} theme */
function apply(theme) {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

/** Goes on to the next theme, and tells it. */
export function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(currentTheme()) + 1) % THEMES.length];
  apply(theme);
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be forbidden: the theme is this page's then.
  }
  return theme;
}

try {
  apply(localStorage.getItem(KEY));
} catch {
  // As the system has it.
}
