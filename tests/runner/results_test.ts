import assert from "node:assert/strict";
import { fileResults, slowestFiles, summaryCounts } from "./results.ts";

Deno.test("the last summary of a run is parsed, with and without colours", () => {
  const first = "ok | 7 passed (2 steps) | 0 failed (3s)\n";
  const last = "\x1b[32mFAILED\x1b[0m | 12 passed (3 steps) | 2 failed | 1 ignored (1s)\n";
  assert.deepEqual(summaryCounts(first), { passed: 7, failed: 0 });
  assert.deepEqual(summaryCounts(first + last), { passed: 12, failed: 2 });
  assert.equal(summaryCounts("error: Module not found"), null);
});

Deno.test("a file's time is the sum of its tests, which include their steps", () => {
  const junit = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="4" failures="0" errors="0" time="9">
    <testsuite name="./tests/a_test.ts" tests="3" disabled="0" errors="0" failures="0">
        <testcase name="a &gt; b" classname="./tests/a_test.ts" time="1.500" line="1" col="6">
        </testcase>
        <testcase name="c &gt; step" classname="./tests/a_test.ts" time="2.000" line="2" col="6"/>
        <testcase name="c" classname="./tests/a_test.ts" time="2.250" line="3" col="6">
        </testcase>
    </testsuite>
    <testsuite name="./tests/b_test.ts" tests="1" disabled="0" errors="0" failures="1">
        <testcase name="d" classname="./tests/b_test.ts" time="5.000" line="1" col="6">
        </testcase>
    </testsuite>
</testsuites>`;
  const results = fileResults(junit);
  assert.deepEqual(results, [
    { file: "./tests/a_test.ts", tests: 2, failed: 0, seconds: 3.75 },
    { file: "./tests/b_test.ts", tests: 1, failed: 1, seconds: 5 },
  ]);
  assert.deepEqual(slowestFiles(results, 1), ["    5.0 s  tests/b_test.ts (1 tests)"]);
});
