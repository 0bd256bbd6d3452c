import assert from "node:assert/strict";
import { settingsFiles } from "../../deploy/settings.ts";
import { SETTINGS, SYSTEM_VARIABLES, VARIABLES } from "../../src/settings/settings.ts";

const ROOT = new URL("../..", import.meta.url);

Deno.test("files generated from the settings table are up to date", async () => {
  const command = "`deno task settings:write` writes it";
  for (const [path, text] of await settingsFiles()) {
    const written = await Deno.readTextFile(new URL(path, ROOT));
    // The formatter may break lines, so compare the content only.
    const content = (text: string) =>
      path.endsWith(".json") ? JSON.parse(text) : text.replace(/\s+|-{2,}/g, " ");
    assert.deepEqual(content(written), content(text), `${path} is out of date: ${command}`);
  }
});

Deno.test("deployment files set existing variables only", async () => {
  const known = new Set<string>([
    ...Object.values(SETTINGS).flatMap((setting) => "env" in setting ? [setting.env] : []),
    ...Object.keys(VARIABLES),
    ...SYSTEM_VARIABLES,
    "RWKV_ALLOW_NET", // read by deploy/start.sh
  ]);
  for (const path of ["compose.yaml", "rwkv-edge.service", "example.env", "start.sh"]) {
    const text = await Deno.readTextFile(new URL(`deploy/${path}`, ROOT));
    const names = text.match(/\bRWKV_[A-Z_]+\b/g) ?? [];
    assert.deepEqual(names.filter((name) => !known.has(name)), [], path);
  }
});
