/** `state encrypt`: encrypts a store that has plaintext values. */

import { encryptStore } from "../../store/encryption/encrypt_store.ts";
import { InferenceError } from "../../core/errors.ts";
import { withProgress } from "../output/progress.ts";
import { kvFlag, openForEncryption } from "../../server/open_store.ts";
import { SETTINGS } from "../../settings/settings.ts";
import { printJson, printText } from "../output/print.ts";
import type { Flags } from "../../settings/flags.ts";

/** @throws InferenceError `state_damaged` if states remain that cannot be read */
export async function encryptCommand(flags: Flags): Promise<void> {
  const kv = kvFlag(flags);
  const remove = flags["remove-unreadable"] === true;
  const { rows, keys } = await openForEncryption(kv);
  try {
    const { states, values, removed, unreadable } = await withProgress(
      "Encrypting",
      (onProgress) =>
        encryptStore(rows, {
          keys,
          now: Date.now,
          ttl: 1000 * SETTINGS["state-ttl"].defaultValue,
          trustPlaintext: flags["trust-plaintext"] === true,
          removeUnreadable: remove,
          onState: (count) => onProgress(count, count),
        }),
      (count) => `${count} states`,
    );
    if (flags.json) await printJson({ states, values, removed, unreadable });
    else {
      await printText(
        `Encrypted ${states} states and ${values} other values; removed ${removed} entries of the ` +
          "prefix index and idempotency records.\n",
      );
    }
    if (unreadable.length === 0 || remove) return;
    throw new InferenceError(
      "state_damaged",
      `Cannot encrypt ${unreadable.length} states: they are damaged or of a later version, such as ` +
        `${unreadable[0]}; --remove-unreadable removes them`,
    );
  } finally {
    rows.close();
  }
}
