/** Parses `deploy/Dockerfile` with Docker's own parser. */

import { mustRun, python } from "./tools.ts";

export interface Instruction {
  cmd: string;
  /** Whether the arguments are a JSON list (exec form). */
  json: boolean;
  flags: string[];
  value: string[];
}

export interface Stage {
  /** The base image, with build arguments substituted. */
  from: string;
  name: string | null;
  instructions: Instruction[];
}

const CODE = `
import dataclasses, dockerfile, json, sys
fields = ("cmd", "json", "flags", "value")
commands = dockerfile.parse_file(sys.argv[1])
print(json.dumps([{field: getattr(command, field) for field in fields} for command in commands]))
`;

export async function parseDockerfile(path: string): Promise<Stage[]> {
  const instructions: Instruction[] = JSON.parse(
    await mustRun(await python(), ["-c", CODE, path]),
  );
  const args: Record<string, string> = {};
  const stages: Stage[] = [];
  for (const instruction of instructions) {
    const { cmd, value } = instruction;
    if (cmd === "FROM") {
      const from = value[0].replace(/\$\{(\w+)\}/g, (_, name: string) => args[name]);
      stages.push({ from, name: value[2] ?? null, instructions: [] });
    } else if (stages.length === 0) {
      const [name, text] = value[0].split("=");
      args[name] = text;
    } else {
      stages.at(-1)!.instructions.push(instruction);
    }
  }
  return stages;
}

/** Returns the names and values of an ENV instruction, which the parser lists alternately. */
export function pairs({ value }: Instruction): [string, string][] {
  const found: [string, string][] = [];
  for (let i = 0; i < value.length; i += 2) found.push([value[i], value[i + 1]]);
  return found;
}
