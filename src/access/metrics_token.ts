/** The bearer token for `/metrics`, compared in constant time. */

import { timingSafeEqual } from "node:crypto";
import { sha256 } from "../core/sha256.ts";

/** Returns whether `authorization` is `Bearer` and `token`. */
export async function hasToken(authorization: string | undefined, token: string): Promise<boolean> {
  const bytes = (text: string) => sha256(new TextEncoder().encode(text));
  // Hashes have equal lengths, so the comparison does not reveal the length of the token.
  const [given, wanted] = await Promise.all([authorization ?? "", `Bearer ${token}`].map(bytes));
  return timingSafeEqual(given, wanted);
}
