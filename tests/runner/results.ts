/** Parses the output of `deno test`: its summary, and the times in its JUnit file. */

export interface Counts {
  passed: number;
  failed: number;
}

export interface FileResult {
  /** Path as `deno test` writes it, such as `./tests/docs_test.ts`. */
  file: string;
  tests: number;
  failed: number;
  seconds: number;
}

/** Returns the counts of the last summary in the output of `deno test`, or null if it has none. */
export function summaryCounts(output: string): Counts | null {
  // deno-lint-ignore no-control-regex -- the runner colours its summary on a terminal
  const plain = output.replace(/\x1b\[[\d;]*m/g, "");
  const summary = [...plain.matchAll(/(\d+) passed[^|\n]*\| (\d+) failed/g)].at(-1);
  return summary ? { passed: Number(summary[1]), failed: Number(summary[2]) } : null;
}

/** Returns the tests and seconds of each file in a JUnit file. Steps count as part of their test. */
export function fileResults(junit: string): FileResult[] {
  const suites = junit.matchAll(
    /<testsuite name="([^"]*)"[^>]*? failures="(\d+)"[^>]*>([\s\S]*?)<\/testsuite>/g,
  );
  return [...suites].map(([, file, failures, cases]) => {
    const all = [...cases.matchAll(/<testcase name="([^"]*)"[^>]*? time="([\d.]+)"/g)];
    const names = new Set(all.map(([, name]) => name));
    const isStep = (name: string) => {
      const separator = " &gt; ";
      for (let at = 0; (at = name.indexOf(separator, at + 1)) > 0;) {
        if (names.has(name.slice(0, at))) return true;
      }
      return false;
    };
    const tests = all.filter(([, name]) => !isStep(name));
    const seconds = tests.reduce((sum, [, , time]) => sum + Number(time), 0);
    return { file, tests: tests.length, failed: Number(failures), seconds };
  });
}

/** Returns lines that name the files which took longest. */
export function slowestFiles(results: readonly FileResult[], count: number): string[] {
  return [...results]
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, count)
    .map(({ file, tests, seconds }) =>
      `${seconds.toFixed(1).padStart(7)} s  ${file.replace("./", "")} (${tests} tests)`
    );
}
