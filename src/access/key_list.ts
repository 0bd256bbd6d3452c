/**
 * Lists of keys: a file with lines `tenant sha256:HEX`, optional limits and comments after `#`, and
 * an environment variable with entries `tenant:key` separated by commas. Error messages give the
 * position of a wrong entry and never its text.
 */

import { InferenceError } from "../core/errors.ts";
import { isTenantName, TENANT_NAME_RULE } from "../core/tenant.ts";
import { hashKey } from "../store/keys/api_key_text.ts";
import { formatLimits, LIMIT_FLAG_NAMES, parseLimitWords } from "../store/keys/key_limits.ts";
import type { ListedKey } from "./key_source.ts";

/** Minimum length of a key that a user chose, so that it cannot be guessed. */
const MIN_CHARACTERS = 16;

/** Returns the line of a key. */
export function keyLine({ tenant, hash, limits = {} }: ListedKey): string {
  return [tenant, `sha256:${hash}`, ...formatLimits(limits)].join(" ");
}

/**
 * Parses the text of a key file.
 *
 * @param name Name of the source in error messages.
 * @throws InferenceError `usage` naming the line
 */
export function parseKeyFile(text: string, name: string): ListedKey[] {
  return text.split("\n").flatMap((line, i) => {
    const content = line.replace(/#.*/, "").trim();
    if (content === "") return [];
    const [tenant, digest = "", ...words] = content.split(/\s+/);
    const hash = digest.match(/^sha256:([0-9a-f]{64})$/)?.[1];
    const limits = parseLimitWords(words);
    if (hash !== undefined && limits !== null && isTenantName(tenant)) {
      return [{ tenant, hash, ...(words.length === 0 ? {} : { limits }) }];
    }
    throw new InferenceError(
      "usage",
      `Cannot use line ${i + 1} of ${name}: it must be a tenant, a space, "sha256:" and 64 ` +
        `hexadecimal digits, where a tenant has ${TENANT_NAME_RULE}; limits may follow, each as ` +
        `${Object.values(LIMIT_FLAG_NAMES).join(", ")} and =NUMBER`,
      { param: "keys" },
    );
  });
}

/**
 * Parses the value of the environment variable.
 *
 * @param name Name of the source in error messages.
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
    if (!/^[\x21-\x7e]*$/.test(key)) {
      throw wrong("its key has characters that are not allowed in a header");
    }
    if (key.length < MIN_CHARACTERS) {
      throw wrong(
        `its key has ${key.length} characters and must have at least ${MIN_CHARACTERS}`,
      );
    }
    return { tenant, hash: await hashKey(key) };
  }));
}
