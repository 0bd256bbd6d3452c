/** `deno task test:python`: tests OpenAI's Python client against a worker with the demo model. */

import { runPythonTask } from "./environment.ts";

Deno.exit(
  await runPythonTask({
    name: "python-client",
    requirement: "openai>=2,<3",
    module: "openai",
    args: (url) => [`${import.meta.dirname}/client.py`, `${url}/v1`],
  }),
);
