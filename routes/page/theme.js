// The theme: light, dark, or the system's. Runs before the first paint to avoid a flash.

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

/** Applies, stores and returns the next theme. */
export function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(currentTheme()) + 1) % THEMES.length];
  apply(theme);
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage is forbidden: the theme is kept until the page is closed.
  }
  return theme;
}

try {
  apply(localStorage.getItem(KEY));
} catch {
  // Storage is forbidden: the system's theme applies.
}
