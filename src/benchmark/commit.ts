/** Identifies the commit that is benchmarked. */

/** Returns the current commit, or null if git is missing or may not run. */
export async function currentCommit(): Promise<string | null> {
  const { state } = await Deno.permissions.query({ name: "run", command: "git" });
  if (state !== "granted") return null;
  try {
    const cwd = new URL("../..", import.meta.url);
    const args = ["describe", "--always", "--dirty"];
    const { success, stdout } = await new Deno.Command("git", { args, cwd }).output();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
