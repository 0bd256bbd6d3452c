/** Parses literals of Python's str and bytes in the form of `repr`. */

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

const utf8 = new TextEncoder();

/** Returns the bytes of a literal, UTF-8 for a str, or `null` if it is malformed. */
export function parseLiteral(literal: string): Uint8Array | null {
  const parts = /^(b?)(['"])(.*)\2$/s.exec(literal);
  if (!parts) return null;
  const [, kind, quote, body] = parts;
  const isBytes = kind === "b";
  let valid = true;
  const value = body.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.?))|['"]/gs,
    (match, x?: string, u?: string, U?: string, simple?: string) => {
      const code = x ?? u ?? U;
      if (code !== undefined) {
        const point = parseInt(code, 16);
        if (point <= (isBytes && x === undefined ? -1 : 0x10ffff)) {
          return String.fromCodePoint(point);
        }
      } else if (simple === undefined && match !== quote) {
        return match;
      } else if (simple !== undefined && Object.hasOwn(SIMPLE_ESCAPES, simple)) {
        return SIMPLE_ESCAPES[simple];
      }
      valid = false;
      return "";
    },
  );
  if (!valid || !value.isWellFormed()) return null;
  if (!isBytes) return utf8.encode(value);
  const bytes = Uint8Array.from(value, (c) => c.charCodeAt(0));
  return /\P{ASCII}/u.test(body) ? null : bytes;
}
