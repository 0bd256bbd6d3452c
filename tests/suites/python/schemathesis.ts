/**
 * `deno task test:schemathesis`: generates valid, almost valid and invalid requests from
 * `/openapi.json` and checks that a worker's responses conform to the document. Passes arguments on
 * to Schemathesis: `--seed 7 --max-examples 300`.
 */

import { runPythonTask } from "./environment.ts";

const CHECKS = [
  "not_a_server_error",
  "status_code_conformance",
  "content_type_conformance",
  "response_headers_conformance",
  "response_schema_conformance",
  "unsupported_method",
  "allow_header_conformance",
];

const FLAGS = {
  "--checks": CHECKS.join(),
  "--phases": "examples,coverage,fuzzing,stateful",
  "--seed": "1",
  "--max-examples": "150",
  "--request-timeout": "30",
  "--generation-database": "none",
  "--warnings": "off",
};

Deno.exit(
  await runPythonTask({
    name: "schemathesis",
    requirement: "schemathesis>=4.32,<5",
    module: "schemathesis",
    args: (url) => [
      "-m",
      "schemathesis.cli",
      "run",
      `${url}/openapi.json`,
      ...Object.entries(FLAGS).flat(),
      "--continue-on-failure",
      ...Deno.args,
    ],
    env: { PYTHONPATH: import.meta.dirname!, SCHEMATHESIS_HOOKS: "schemathesis_hooks" },
  }),
);
