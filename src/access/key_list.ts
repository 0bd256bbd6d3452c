/**
 * Keys as people list them: a file of lines `tenant sha256:HEX`, perhaps with bounds behind that, in
 * which `#` begins a comment, and a variable of `tenant:key`, with commas between. What is wrong in one is told by its place in it,
 * never by its text.
 */

import { InferenceError } from "../core/errors.ts";
import { isTenantName, TENANT_NAME_RULE } from "../core/tenant.ts";
import { hashKey } from "../store/keys/api_key_text.ts";
import { formatLimits, LIMIT_FLAG_NAMES, parseLimitWords } from "../store/keys/key_limits.ts";
import type { ListedKey } from "./key_source.ts";

/** Keys of one's own making are to be no easier to guess than this many characters allow. */
const LEAST_CHARACTERS = 16;

/** A line for a key. */
export function keyLine({ tenant, hash, limits = {} }: ListedKey): string {
  return [tenant, `sha256:${hash}`, ...formatLimits(limits)].join(" ");
}

/**
 * The keys of a file's text.
 *
 * @param name What it is called in messages.
 * @throws InferenceError `usage` naming the line
 */
export function parseKeyFile(text: string, name: string): ListedKey[] {
  return text.split("\n").flatMap((line, i) => {
    const told = line.replace(/#.*/, "").trim();
    if (told === "") return [];
    const [tenant, digest = "", ...words] = told.split(/\s+/);
    const hash = digest.match(/^sha256:([0-9a-f]{64})$/)?.[1];
    const limits = parseLimitWords(words);
    if (hash !== undefined && limits !== null && isTenantName(tenant)) {
      return [{ tenant, hash, ...(words.length === 0 ? {} : { limits }) }];
    }
    throw new InferenceError(
      "usage",
      `Cannot use line ${i + 1} of ${name}: it must be a tenant, a space, "sha256:" and 64 ` +
        `hexadecimal digits, where a tenant has ${TENANT_NAME_RULE}; bounds may follow, each as ` +
        `${Object.values(LIMIT_FLAG_NAMES).join(", ")} and =NUMBER`,
      { param: "keys" },
    );
  });
}

/**
 * The keys of a variable.
 *
 * @param name What it is called in messages.
 * @throws InferenceError `usage` naming the entry
 */
export async function parseKeyVariable(text: string, name: string): Promise<ListedKey[]> {
  const entries = text.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
  return await Promise.all(entries.map(async (entry, i) => {
    const [, tenant = "", key = ""] = entry.match(/^([^:]*):(.*)$/s) ?? [];
    const wrong = (what: string) =>
      new InferenceError("usage", `Cannot use entry ${i + 1} of ${name}: ${what}`);
    if (!isTenantName(tenant)) {
      throw wrong(`it must be tenant:key, where a tenant has ${TENANT_NAME_RULE}`);
    }
    if (!/^[\x21-\x7e]*$/.test(key)) throw wrong("its key has characters that no header takes");
    if (key.length < LEAST_CHARACTERS) {
      throw wrong(
        `its key has ${key.length} characters, it must have ${LEAST_CHARACTERS} at least`,
      );
    }
    return { tenant, hash: await hashKey(key) };
  }));
}
