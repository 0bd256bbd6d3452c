/** Which code was measured. */

/** The commit that runs, where git is there and may be asked. */
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
