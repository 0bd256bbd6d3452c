/** Finds Chromium, or installs Debian's package. */

/** The executable names of Chromium and Chrome. */
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The fonts are for the screenshots: letters and emoji. */
const PACKAGES = ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"];

/**
 * Returns the browser's path: `CHROMIUM` if set, else the first executable in `PATH`. Prints an error
 * and returns `null` if there is none.
 */
export async function findChromium(
  { install = false }: { install?: boolean } = {},
): Promise<string | null> {
  const configured = Deno.env.get("CHROMIUM");
  if (configured) return configured;
  const found = await findInPath();
  if (found !== null || !install) return found;
  const remedy = `install Chromium (Debian package ${PACKAGES[0]}) or set CHROMIUM to its path`;
  if (Deno.uid() !== 0 || !await succeeds("apt-get", ["--version"])) {
    console.error(`error: Cannot find Chromium: ${remedy}`);
    return null;
  }
  console.error(`Chromium is not installed; installing ${PACKAGES.join(", ")}`);
  const options = ["install", "-y", "-qq", "--no-install-recommends"];
  await succeeds("apt-get", ["update", "-qq"]);
  await succeeds("apt-get", [...options, ...PACKAGES]);
  const installed = await findInPath();
  if (installed === null) console.error(`error: Cannot install Chromium: ${remedy}`);
  return installed;
}

async function findInPath(): Promise<string | null> {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of NAMES) {
      const path = `${folder}/${name}`;
      const file = await Deno.stat(path).catch(() => null);
      if (file?.isFile) return path;
    }
  }
  return null;
}

async function succeeds(command: string, args: string[]): Promise<boolean> {
  try {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const child = new Deno.Command(command, { args, env, stdout: "null", stderr: "inherit" });
    return (await child.output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
