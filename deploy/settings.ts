/**
 * Generates files from the settings table (`src/settings/settings.ts`): docs/configuration.md, the
 * environment variables in the permissions of deno.json, and the environment of the workers in
 * deploy/compose.yaml. Run it as `deno task settings:write`.
 */

import type { FlagSpec } from "../src/settings/flags.ts";
import {
  CLI_VARIABLES,
  SETTING_GROUPS,
  SETTINGS,
  SYSTEM_VARIABLES,
  VARIABLES,
} from "../src/settings/settings.ts";

const ROOT = new URL("..", import.meta.url);

const PAGE = "docs/configuration.md";
const CONFIG = "deno.json";
const COMPOSE = "deploy/compose.yaml";

/** Variables that compose.yaml sets explicitly, because containers need other values. */
const SET_BY_COMPOSE = ["HOST", "PORT", "RWKV_KV", "RWKV_GRACE", "RWKV_KEYS"];

/** Lines of compose.yaml around the generated variables. */
const COMPOSE_START = "      # Settings from deploy/.env, written by `deno task settings:write`:\n";
const COMPOSE_END = "      # End of settings.\n";

/** Returns the paths and the contents of the generated files. */
export async function settingsFiles(): Promise<[path: string, text: string][]> {
  return [
    [PAGE, configurationPage()],
    [CONFIG, withPermissions(await read(CONFIG))],
    [COMPOSE, withEnvironment(await read(COMPOSE))],
  ];
}

function configurationPage(): string {
  const groups = SETTING_GROUPS.flatMap((group) => {
    const rows = Object.entries<FlagSpec & { group: string }>(SETTINGS)
      .filter(([, setting]) => setting.group === group)
      .map(([name, setting]) => [
        `\`--${name}${setting.placeholder ? ` ${setting.placeholder}` : ""}\``,
        setting.env ? `\`${setting.env}\`` : "",
        `${setting.defaultText ?? setting.defaultValue ?? (setting.placeholder ? "" : "off")}`,
        sentence(setting.help),
      ]);
    const head = ["Flag", "Environment variable", "Default", "Description"];
    return [`## ${group}`, "", ...table([head, ...rows]), ""];
  });
  const variables = Object.entries(VARIABLES).map((
    [name, help],
  ) => [`\`${name}\``, sentence(help)]);
  return [
    "# Configuration",
    "",
    "<!-- Written by `deno task settings:write` from src/settings/settings.ts. -->",
    "",
    "`deno task start` reads the environment variables. `deno task rwkv serve` reads them as well, " +
    "and a flag takes precedence over its variable. An empty variable counts as not set. For flags " +
    "without a value, `1` sets the flag, and `0`, `false`, `no` or `off` leaves it unset.",
    "",
    ...groups,
    "## Environment variables without a flag",
    "",
    "Every user of a machine can read the arguments of a process, so secrets have no flags.",
    "",
    ...table([["Environment variable", "Description"], ...variables]),
    "",
  ].join("\n");
}

function table([head, ...rows]: readonly (readonly string[])[]): string[] {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(" | ")} |`;
  const [first, ...others] = cells.map(line);
  return [first, `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`, ...others];
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

function withPermissions(text: string): string {
  const config = JSON.parse(text);
  const settings = Object.values<FlagSpec>(SETTINGS).flatMap(({ env }) => env ?? []);
  const start = [...settings, ...Object.keys(VARIABLES), ...SYSTEM_VARIABLES];
  config.permissions.start.env = start;
  config.permissions.bench.env = start;
  config.permissions.rwkv.env = [...start, ...Object.keys(CLI_VARIABLES)];
  return `${JSON.stringify(config, null, 2)}\n`;
}

function withEnvironment(text: string): string {
  const start = text.indexOf(COMPOSE_START) + COMPOSE_START.length;
  const end = text.indexOf(COMPOSE_END);
  const settings = Object.values<FlagSpec>(SETTINGS).flatMap(({ env }) => env ?? [])
    .filter((name) => !SET_BY_COMPOSE.includes(name));
  const lines = settings.map((name) => `      ${name}: \${${name}:-}\n`);
  return text.slice(0, start) + lines.join("") + text.slice(end);
}

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(path, ROOT));
}

if (import.meta.main) {
  for (const [path, text] of await settingsFiles()) {
    await Deno.writeTextFile(new URL(path, ROOT), text);
  }
}
