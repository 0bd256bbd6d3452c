/** Help, completions and pipes. */

import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { COMMANDS } from "../../src/cli/commands.ts";
import { parseFlags } from "../../src/settings/parse_flags.ts";
import { rwkv } from "../suites/cli/shared_cli.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

Deno.test("help fits 80 columns and has every flag, variable and an example", async () => {
  for (const command of COMMANDS) {
    const { code, stdout } = await rwkv(["help", command.name]);
    assert.equal(code, 0);
    const wide = stdout.split("\n").filter((line) => line.length > 80);
    assert.deepEqual(wide, [], command.name);
    for (const [name, { type, placeholder, env }] of Object.entries(command.flags)) {
      assert.equal(placeholder !== undefined, type === "string", `${command.name} --${name}`);
      const flag = placeholder ? `--${name} ${placeholder}` : `--${name}`;
      assert.ok(stdout.includes(flag), `${command.name} ${flag}`);
      assert.ok(!env || stdout.includes(env), `${command.name} ${env}`);
    }
    assert.ok(command.examples.length > 0, command.name);
  }
});

Deno.test("every flag in an example exists", () => {
  for (const command of COMMANDS) {
    for (const example of command.examples) {
      const line = example.replace(/ +# .*/, "");
      const own = line.match(/(?:^|\s)rwkv (.+)/)?.[1] ?? line;
      const [name, ...args] = own.match(/'[^']*'|"[^"]*"|[^\s]+/g) ?? [];
      assert.equal(name, command.name, example);
      const end = args.findIndex((arg) => /^[|<>]/.test(arg));
      parseFlags(command, end < 0 ? args : args.slice(0, end), () => undefined);
    }
  }
});

Deno.test("bash completes commands, flags and values", async () => {
  const { stdout: script } = await rwkv(["completions", "bash"]);
  const complete = async (...words: string[]) => {
    const completion = `${script}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
COMP_CWORD=${words.length - 1}
_rwkv
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { code, stdout } = await new Deno.Command("bash", { args: ["-c", completion] }).output();
    assert.equal(code, 0);
    return new TextDecoder().decode(stdout).trim().split("\n");
  };
  assert.deepEqual(await complete("rwkv", "se"), ["serve"]);
  assert.deepEqual(await complete("rwkv", "serve", "--st"), [
    "--state-ttl",
    "--state-cache",
    "--state-codec",
    "--states-per-tenant",
  ]);
  assert.deepEqual(await complete("rwkv", "chat", "--device", "w"), ["webgpu"]);
  assert.deepEqual(await complete("rwkv", "completions", "f"), ["fish"]);
});

Deno.test("generate exits quietly when the reader of stdout closes it", async () => {
  const line = `"$0" run -q -P=rwkv src/cli/main.ts generate --prompt 'User: Hi' --device cpu ` +
    '--max-tokens 400 --seed 1 | head -c 5; echo " ${PIPESTATUS[0]}"';
  const { stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", line, Deno.execPath()],
    cwd: ROOT,
  }).output();
  const [, status] = new TextDecoder().decode(stdout).match(/ (\d+)\n$/) ?? [];
  assert.ok(status === "141" || status === "0", status);
  assert.equal(new TextDecoder().decode(stderr), "");
});

Deno.test("parseArgs sets no defaults from the flag table", () => {
  for (const { name, flags } of COMMANDS) {
    const { values } = parseArgs({ args: [], options: flags });
    assert.deepEqual({ ...values }, {}, name);
  }
});

Deno.test("an environment variable sets a boolean flag unless its value is false", () => {
  const serve = COMMANDS.find(({ name }) => name === "serve")!;
  const open = (value?: string) =>
    parseFlags(serve, [], (name) => name === "RWKV_OPEN" ? value : undefined).flags.open;
  for (const yes of ["1", "true", "yes"]) assert.equal(open(yes), true, yes);
  for (const no of ["0", "false", "No", "off", "", undefined]) assert.equal(open(no), undefined);
});
