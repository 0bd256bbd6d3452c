/** A worker with keys: the page asks for one, keeps it as long as it is told to, and no longer. */

import assert from "node:assert/strict";
import { Stage } from "./stage.ts";
import type { Visit } from "./visit.ts";

const KEY = "a-key-for-the-page";
const OTHER = "another-tenants-key";

const stage = Stage.forTests({ env: { RWKV_API_KEYS: `ada:${KEY},bob:${OTHER}` } });

const expected = /status of (401|404)/;

function dialogOf({ page }: Visit) {
  return page.getByRole("dialog", { name: "A key is needed" });
}

async function giveKey(visit: Visit, key: string, { remember = false } = {}): Promise<void> {
  const dialog = dialogOf(visit);
  const field = dialog.getByLabel("API key", { exact: true });
  if (remember) await dialog.getByLabel("Remember it in this browser").check();
  await field.fill(key);
  await dialog.getByRole("button", { name: "Use this key" }).click();
}

/** Where the browser has the key. */
function kept({ page }: Visit, key: string): Promise<string[]> {
  return page.evaluate((key) => {
    const holds = (storage: Storage) => Object.values({ ...storage }).includes(key);
    return [holds(sessionStorage) ? "tab" : [], holds(localStorage) ? "browser" : []].flat();
  }, key);
}

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`a key is asked for in a dialog that everybody can use, ${colorScheme}`, async () => {
    await using visit = await stage.visit({ expected, colorScheme });
    const { page } = visit;
    const dialog = dialogOf(visit);
    await page.locator(".example").first().waitFor();
    assert.equal(await dialog.isVisible(), false);
    await visit.say("Hi! My name is Ada.");
    await dialog.getByText("The worker wants an API key.").waitFor();
    await visit.screenshot(`key-dialog-${colorScheme}`);
    await visit.assertAccessible();
    // By keyboard alone: the field has the focus, and Enter gives what is in it.
    const focused = () => page.evaluate(() => document.activeElement?.id);
    assert.equal(await focused(), "key");
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "remember-key");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.type("a wrong key");
    await page.keyboard.press("Enter");
    await dialog.getByText("The worker does not take this API key.").waitFor();
    await visit.assertAccessible();
    await page.keyboard.type(KEY);
    await page.keyboard.press("Enter");
    await visit.turnsAre(1);
    assert.match(await visit.reply(), /Ada/);
    assert.equal(await dialog.isVisible(), false);
  });
}

Deno.test("a key is the tab's unless it is to be remembered, and can be forgotten", async () => {
  await using visit = await stage.visit({ expected });
  const { page } = visit;
  await visit.say("Hi! My name is Ada.");
  await giveKey(visit, KEY);
  await visit.turnsAre(1);
  assert.deepEqual(await kept(visit, KEY), ["tab"]);
  await page.reload();
  await visit.turnsAre(1);
  // Another tab has none, and opens the conversation when it is given.
  const tab = await page.context().newPage();
  await tab.goto(page.url());
  const asked = tab.getByRole("dialog", { name: "A key is needed" });
  await asked.getByLabel("API key", { exact: true }).fill(KEY);
  await asked.getByLabel("Remember it in this browser").check();
  await asked.getByRole("button", { name: "Use this key" }).click();
  await tab.locator(".turn").waitFor();
  await tab.close();
  assert.deepEqual(await kept(visit, KEY), ["tab", "browser"]);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Forget the API key" }).click();
  await page.getByRole("button", { name: "Done" }).click();
  assert.deepEqual(await kept(visit, KEY), []);
  await page.reload();
  await dialogOf(visit).waitFor();
  await giveKey(visit, KEY, { remember: true });
  await visit.turnsAre(1);
  assert.deepEqual(await kept(visit, KEY), ["browser"]);
  await page.reload();
  await visit.turnsAre(1);
});

Deno.test("who gives no key is told so, and may go on later", async () => {
  await using visit = await stage.visit({ expected });
  const { page } = visit;
  await visit.say("Hi! My name is Ada.");
  await dialogOf(visit).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("alert").getByText("No API key was given.").waitFor();
  assert.equal(await dialogOf(visit).isVisible(), false);
  await page.locator("#notice-action").click();
  await giveKey(visit, KEY);
  await visit.turnsAre(1);
  assert.match(await visit.reply(), /Ada/);
});

Deno.test("a link to a conversation leads another tenant to nothing", async () => {
  await using ada = await stage.visit({ expected });
  await ada.say("Hi! My name is Zorvin.");
  await giveKey(ada, KEY);
  await ada.turnsAre(1);
  assert.ok((await ada.page.locator("body").innerText()).includes("Zorvin"));
  await using bob = await stage.visit({ expected, path: `/#${ada.state}` });
  await dialogOf(bob).waitFor();
  await giveKey(bob, OTHER);
  await bob.page.getByRole("alert").waitFor();
  assert.equal(await bob.page.locator(".turn").count(), 0);
  assert.ok(!(await bob.page.locator("body").innerText()).includes("Zorvin"));
});
