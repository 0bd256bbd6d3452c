/**
 * What `deno task test` leaves to `deno task test:full`. A test file that is run by name, or by
 * `deno test` itself, runs in full.
 */

/** Set by `deno task test`. */
export const QUICK_VARIABLE = "RWKV_TEST_QUICK";

/** Whether slow tests are left out, and random ones try fewer cases. */
export const QUICK = Deno.env.get(QUICK_VARIABLE) === "1";

/**
 * Declares a test that takes too long for `deno task test`. It is `Deno.test` itself, so that reports
 * name the file of its caller.
 */
export const slowTest: (
  name: string,
  fn: (t: Deno.TestContext) => void | Promise<void>,
) => void = QUICK ? () => {} : Deno.test;

/** How many cases a test tries: `full` of them, or `quick` in `deno task test`. */
export function caseCount(full: number, quick: number): number {
  return QUICK ? quick : full;
}
