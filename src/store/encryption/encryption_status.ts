/**
 * The encryption status of a store: `["~", "encryption"]`. The row is encrypted, so it cannot be
 * forged without the master key. For older stores without this row, a sample of values decides.
 */

import { InferenceError } from "../../core/errors.ts";
import type { Backend } from "../backends/backend.ts";
import { ENCRYPTION } from "../row_keys.ts";
import type { MasterKeys } from "./master_keys.ts";
import { isFields } from "../row_json.ts";
import { decryptRow, encryptionKeyName, encryptRow, isEncrypted } from "./row_encryption.ts";

/** `migrating`: some values may still be plaintext. */
export type EncryptionStatus = "encrypted" | "migrating";

/** Values that are examined in a store without this row. */
const SAMPLE = 8;

/**
 * Verifies that a store is encrypted with `keys`, or is not encrypted if there are no keys. With
 * keys, a store that is empty or whose values all look encrypted is marked as encrypted.
 *
 * @param rows The store without encryption.
 * @param now Epoch milliseconds.
 * @throws InferenceError `invalid_value` if store and keys do not match; or an error of the backend
 */
export async function verifyEncryption(
  rows: Backend,
  keys: MasterKeys,
  now: number,
): Promise<void> {
  const entry = await rows.get(ENCRYPTION);
  if (keys.current === null) {
    if (entry === null && !await isMarked(rows)) return;
    throw mismatch(rows, "it is encrypted: set RWKV_MASTER_KEY to its master key");
  }
  if (entry === null) {
    if ((await sampleOf(rows)).plaintext > 0) throw plaintextStore(rows);
    return await writeEncryptionStatus(rows, keys, { status: "encrypted", now });
  }
  const status = await readEncryptionStatus(rows, keys);
  if (status === "migrating") {
    throw mismatch(
      rows,
      "its encryption is incomplete: run `deno task rwkv state encrypt` again",
    );
  }
  // The newest key of the list replaces older ones.
  if (encryptionKeyName(entry.value) !== keys.current) {
    await writeEncryptionStatus(rows, keys, { status: "encrypted", now });
  }
}

/**
 * Returns the status in the store's row, or null if there is no row.
 *
 * @throws InferenceError `invalid_value` if it is not encrypted with one of `keys`; or an error of
 * the backend
 */
export async function readEncryptionStatus(
  rows: Backend,
  keys: MasterKeys,
): Promise<EncryptionStatus | null> {
  const entry = await rows.get(ENCRYPTION);
  if (entry === null) return null;
  try {
    if (!isEncrypted(entry.value)) throw new Error("it is plaintext");
    const { value } = await decryptRow(keys, entry);
    const row: unknown = JSON.parse(new TextDecoder().decode(value));
    const status = isFields(row) && row.version === 1 ? row.status : undefined;
    if (status === "encrypted" || status === "migrating") return status;
    throw new Error("it is of another version");
  } catch (cause) {
    const named = isEncrypted(entry.value)
      ? `master key ${encryptionKeyName(entry.value)}`
      : "another key";
    throw mismatch(rows, `it is encrypted with ${named}: add that key to RWKV_MASTER_KEY`, cause);
  }
}

/** Writes the row. Throws the errors of the backend. */
export async function writeEncryptionStatus(
  rows: Backend,
  keys: MasterKeys,
  { status, now }: { status: EncryptionStatus; now: number },
): Promise<void> {
  const content = new TextEncoder().encode(JSON.stringify({ version: 1, status }));
  const value = await encryptRow(keys, { at: ENCRYPTION, value: content, now });
  await rows.atomic([], [{ type: "set", key: ENCRYPTION, value }]);
}

/** Counts encrypted and plaintext values among the first of a store. */
async function sampleOf(rows: Backend): Promise<{ encrypted: number; plaintext: number }> {
  const counts = { encrypted: 0, plaintext: 0 };
  for await (const { value } of rows.list([], { limit: SAMPLE })) {
    if (value.length === 0) continue;
    if (isEncrypted(value)) counts.encrypted++;
    else counts.plaintext++;
  }
  return counts;
}

async function isMarked(rows: Backend): Promise<boolean> {
  return (await sampleOf(rows)).encrypted > 0;
}

function plaintextStore(rows: Backend): InferenceError {
  return mismatch(
    rows,
    "RWKV_MASTER_KEY is set, but the store has plaintext values: stop its workers and run " +
      "`deno task rwkv state encrypt` once, or unset RWKV_MASTER_KEY",
  );
}

function mismatch({ name }: Backend, problem: string, cause?: unknown): InferenceError {
  return new InferenceError("invalid_value", `Cannot open the state store ${name}: ${problem}`, {
    cause,
    param: "RWKV_MASTER_KEY",
  });
}
