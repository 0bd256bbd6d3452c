/** API keys in files and environment variables. */

import assert from "node:assert/strict";
import { keyFile } from "../../src/access/key_file.ts";
import { keyLine, parseKeyFile, parseKeyVariable } from "../../src/access/key_list.ts";
import { fixedKeys } from "../../src/access/key_source.ts";
import { hashKey } from "../../src/store/keys/api_key_text.ts";

const A = "a".repeat(64);
const B = "0123456789abcdef".repeat(4);

Deno.test("a key file has one key per line, comments and empty lines", () => {
  const text = `# ours\n\nacme sha256:${A}\n  other\tsha256:${B}  # key_0, since May\r\n`;
  const keys = [{ tenant: "acme", hash: A }, { tenant: "other", hash: B }];
  assert.deepEqual(parseKeyFile(text, "keys.txt"), keys);
  assert.deepEqual(parseKeyFile(keys.map(keyLine).join("\n"), "keys.txt"), keys);
  assert.deepEqual(parseKeyFile("", "keys.txt"), []);
});

Deno.test("a key may be followed by limits, which apply to its caller", async () => {
  const text = `acme sha256:${A} requests-per-minute=60  bytes-per-tenant=1000 # ours`;
  const limits = { requestsPerMinute: 60, bytes: 1000 };
  const keys = parseKeyFile(text, "keys.txt");
  assert.deepEqual(keys, [{ tenant: "acme", hash: A, limits }]);
  assert.deepEqual(parseKeyFile(keyLine(keys[0]), "keys.txt"), keys);
  assert.deepEqual(await fixedKeys(keys).find(A), { tenant: "acme", limits });
});

Deno.test("the first line applies if a key is listed twice", async () => {
  const source = fixedKeys(parseKeyFile(`one sha256:${A}\ntwo sha256:${A}`, "keys.txt"));
  assert.deepEqual(await source.find(A), { tenant: "one" });
});

Deno.test("an invalid line is reported by its number without its text", () => {
  const secret = "rwkv-this-is-a-secret";
  const lines = [
    `acme ${secret}`,
    secret,
    `acme sha256:${A.toUpperCase()}`,
    `acme sha256:${A.slice(1)}`,
    `~ sha256:${A}`,
    `acme sha256:${A} more`,
    `acme sha256:${A} turns=3`,
    `acme sha256:${A} requests-per-minute=0`,
    `acme sha256:${A} requests-per-minute=1e3`,
    `acme sha256:${A} requests-per-minute=${secret}`,
    `acme sha256:${A} requests-per-minute=99999999999999999999`,
    `acme sha256:${A} requests-per-minute=5 requests-per-minute=6`,
    `sha256:${A}`,
  ];
  for (const line of lines) {
    assert.throws(
      () => parseKeyFile(`\n${line}`, "keys.txt"),
      (error: Error) =>
        /^Cannot use line 2 of keys\.txt: /.test(error.message) && !error.message.includes(secret),
      line,
    );
  }
});

Deno.test("a variable has tenant:key pairs separated by commas", async () => {
  const keys = ["0123456789abcdef", "sk-with:colons:in:it"];
  const parsed = await parseKeyVariable(`acme:${keys[0]}, other:${keys[1]},`, "KEYS");
  assert.deepEqual(parsed, [
    { tenant: "acme", hash: await hashKey(keys[0]) },
    { tenant: "other", hash: await hashKey(keys[1]) },
  ]);
  assert.deepEqual(await parseKeyVariable(" ", "KEYS"), []);
});

Deno.test("an invalid entry is reported by its position without its text", async () => {
  const invalid = [
    "topsecretkey123456",
    "acme:short",
    "Acme:0123456789abcdef",
    "a:0123456789 bcdef",
  ];
  for (const entry of invalid) {
    await assert.rejects(
      parseKeyVariable(`acme:0123456789abcdef,${entry}`, "KEYS"),
      ({ message }: Error) =>
        /^Cannot use entry 2 of KEYS: /.test(message) && !message.includes(entry.slice(5)),
      entry,
    );
  }
});

Deno.test("a key file is reloaded, and lookups fail while it cannot be read", async () => {
  let now = 0;
  let text: string | null = `acme sha256:${A}`;
  const read = () => text === null ? Promise.reject(new Error("gone")) : Promise.resolve(text);
  const source = keyFile({ name: "keys.txt", read, now: () => now });
  assert.deepEqual(await source.find(A), { tenant: "acme" });
  text = `acme sha256:${B}`;
  assert.deepEqual(await source.find(A), { tenant: "acme" });
  now += 2_000;
  assert.equal(await source.find(A), null);
  assert.deepEqual(await source.find(B), { tenant: "acme" });
  text = null;
  now += 2_000;
  await assert.rejects(source.find(B), /gone/);
  text = "";
  now += 2_000;
  assert.equal(await source.find(B), null);
  // A key file enables authentication even when it is empty.
  assert.equal(await source.any(), true);
});
