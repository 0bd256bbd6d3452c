/**
 * Distinguishes `deno task test`, which skips slow tests, from `deno task test:full`. A test file
 * run directly with `deno test` runs in full.
 */

/** Set by `deno task test`. */
export const QUICK_VARIABLE = "RWKV_TEST_QUICK";

/** Whether slow tests are skipped and randomized tests try fewer cases. */
export const QUICK = Deno.env.get(QUICK_VARIABLE) === "1";

/**
 * Declares a test that takes too long for `deno task test`. This is `Deno.test` itself, so that
 * reports name the caller's file.
 */
export const slowTest: (
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
) => void = QUICK ? () => {} : Deno.test;

/** Returns the number of cases to test: `full`, or `quick` in `deno task test`. */
export function caseCount(full: number, quick: number): number {
  return QUICK ? quick : full;
}
