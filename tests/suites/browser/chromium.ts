/** Where Chromium is; Debian's package is installed where there is none. */

/** Names that Chromium goes by. */
const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The fonts are for what pages are looked at by people: letters, and signs that are pictures. */
const PACKAGES = ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"];

/**
 * The browser's path: what `CHROMIUM` names, else what is found; `null`, with a message, where
 * there is none.
 */
export async function findChromium(
  { install = false }: { install?: boolean } = {},
): Promise<string | null> {
  const named = Deno.env.get("CHROMIUM");
  if (named) return named;
  const found = await lookFor();
  if (found !== null || !install) return found;
  const remedy = `install Chromium, on Debian the package ${PACKAGES[0]}, or name it in CHROMIUM`;
  if (Deno.uid() !== 0 || !await succeeds("apt-get", ["--version"])) {
    console.error(`error: these tests need Chromium and there is none: ${remedy}`);
    return null;
  }
  console.error(`There is no Chromium: installing ${PACKAGES.join(", ")}`);
  const options = ["install", "-y", "-qq", "--no-install-recommends"];
  await succeeds("apt-get", ["update", "-qq"]);
  await succeeds("apt-get", [...options, ...PACKAGES]);
  const installed = await lookFor();
  if (installed === null) console.error(`error: installing it gave no Chromium: ${remedy}`);
  return installed;
}

async function lookFor(): Promise<string | null> {
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
