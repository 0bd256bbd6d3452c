/** Formats rows as lines with aligned columns. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const lines = rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i])).join("  "));
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}
