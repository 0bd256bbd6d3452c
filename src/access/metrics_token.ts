/** The token of whoever reads `/metrics`, compared in constant time. */

import { timingSafeEqual } from "node:crypto";
import { sha256 } from "../core/sha256.ts";

/** Whether `authorization` is `Bearer` and `token`. */
export async function hasToken(authorization: string | undefined, token: string): Promise<boolean> {
  const bytes = (text: string) => sha256(new TextEncoder().encode(text));
  // Hashes, so that the lengths are the same and tell nothing.
  const [given, wanted] = await Promise.all([authorization ?? "", `Bearer ${token}`].map(bytes));
  return timingSafeEqual(given, wanted);
}
