/**
 * `deno task test:e2e`: tests the chat page in a real browser with a real worker. Installs Chromium if
 * it is missing, type-checks the page's modules, and runs the tests of this folder. Passes its
 * arguments to Deno's test runner.
 */

import { findChromium } from "./chromium.ts";

const ROOT = new URL("../../..", import.meta.url).pathname;
const CONFIG = ["--config", `${ROOT}tests/suites/browser/deno.json`];

Deno.env.set("XDG_RUNTIME_DIR", Deno.env.get("XDG_RUNTIME_DIR") || "/tmp");
Deno.exit(await main());

async function main(): Promise<number> {
  if (await findChromium({ install: true }) === null) return 2;
  const checked = await run(["check", "--quiet", ...CONFIG, `${ROOT}routes/page/main.js`]);
  if (checked !== 0) return checked;
  const tests = Deno.args.length > 0 ? Deno.args : [`${ROOT}tests/suites/browser`];
  return await run(["test", "-A", "--frozen", ...CONFIG, ...tests]);
}

async function run(args: string[]): Promise<number> {
  return (await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).spawn().status).code;
}
