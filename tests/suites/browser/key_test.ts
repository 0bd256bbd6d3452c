/** API keys: the page asks for a key, and stores it for the tab or for the browser. */

import assert from "node:assert/strict";
import { BrowserFixture } from "./fixture.ts";
import type { Visit } from "./visit.ts";

const KEY = "a-key-for-the-page";
const OTHER = "another-tenants-key";

const fixture = BrowserFixture.forTests({ env: { RWKV_API_KEYS: `ada:${KEY},bob:${OTHER}` } });

const expected = /status of (401|404)/;

function dialogOf({ page }: Visit) {
  return page.getByRole("dialog", { name: "API key required" });
}

async function submitKey(visit: Visit, key: string, { remember = false } = {}): Promise<void> {
  const dialog = dialogOf(visit);
  const field = dialog.getByLabel("API key", { exact: true });
  if (remember) await dialog.getByLabel("Remember it in this browser").check();
  await field.fill(key);
  await dialog.getByRole("button", { name: "Use this key" }).click();
}

/** Returns where the browser has stored the key. */
function storageOf({ page }: Visit, key: string): Promise<string[]> {
  return page.evaluate((key) => {
    const contains = (storage: Storage) => Object.values({ ...storage }).includes(key);
    return [contains(sessionStorage) ? "tab" : [], contains(localStorage) ? "browser" : []].flat();
  }, key);
}

for (const colorScheme of ["light", "dark"] as const) {
  Deno.test(`the key dialog is accessible, ${colorScheme}`, async () => {
    await using visit = await fixture.visit({ expected, colorScheme });
    const { page } = visit;
    const dialog = dialogOf(visit);
    await page.locator(".example").first().waitFor();
    assert.equal(await dialog.isVisible(), false);
    await visit.send("Hi! My name is Ada.");
    await dialog.getByText("The worker requires an API key.").waitFor();
    await visit.screenshot(`key-dialog-${colorScheme}`);
    await visit.assertAccessible();
    // With the keyboard only: the field has the focus, and Enter submits it.
    const focused = () => page.evaluate(() => document.activeElement?.id);
    assert.equal(await focused(), "key");
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "remember-key");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.type("a wrong key");
    await page.keyboard.press("Enter");
    await dialog.getByText("The worker rejected this API key.").waitFor();
    await visit.assertAccessible();
    await page.keyboard.type(KEY);
    await page.keyboard.press("Enter");
    await visit.waitForTurns(1);
    assert.match(await visit.reply(), /Ada/);
    assert.equal(await dialog.isVisible(), false);
  });
}

Deno.test("a key is stored for the tab, or on request for the browser, and can be deleted", async () => {
  await using visit = await fixture.visit({ expected });
  const { page } = visit;
  await visit.send("Hi! My name is Ada.");
  await submitKey(visit, KEY);
  await visit.waitForTurns(1);
  assert.deepEqual(await storageOf(visit, KEY), ["tab"]);
  await page.reload();
  await visit.waitForTurns(1);
  // Another tab has no key, and opens the conversation once it gets one.
  const tab = await page.context().newPage();
  await tab.goto(page.url());
  const asked = tab.getByRole("dialog", { name: "API key required" });
  await asked.getByLabel("API key", { exact: true }).fill(KEY);
  await asked.getByLabel("Remember it in this browser").check();
  await asked.getByRole("button", { name: "Use this key" }).click();
  await tab.locator(".turn").waitFor();
  await tab.close();
  assert.deepEqual(await storageOf(visit, KEY), ["tab", "browser"]);
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("button", { name: "Forget the API key" }).click();
  await page.getByRole("button", { name: "Done" }).click();
  assert.deepEqual(await storageOf(visit, KEY), []);
  await page.reload();
  await dialogOf(visit).waitFor();
  await submitKey(visit, KEY, { remember: true });
  await visit.waitForTurns(1);
  assert.deepEqual(await storageOf(visit, KEY), ["browser"]);
  await page.reload();
  await visit.waitForTurns(1);
});

Deno.test("cancelling the key dialog shows an error, and a retry asks again", async () => {
  await using visit = await fixture.visit({ expected });
  const { page } = visit;
  await visit.send("Hi! My name is Ada.");
  await dialogOf(visit).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("alert").getByText("No API key was entered.").waitFor();
  assert.equal(await dialogOf(visit).isVisible(), false);
  await page.locator("#banner-action").click();
  await submitKey(visit, KEY);
  await visit.waitForTurns(1);
  assert.match(await visit.reply(), /Ada/);
});

Deno.test("another tenant cannot open a conversation by its link", async () => {
  await using ada = await fixture.visit({ expected });
  await ada.send("Hi! My name is Zorvin.");
  await submitKey(ada, KEY);
  await ada.waitForTurns(1);
  assert.ok((await ada.page.locator("body").innerText()).includes("Zorvin"));
  await using bob = await fixture.visit({ expected, path: `/#${ada.state}` });
  await dialogOf(bob).waitFor();
  await submitKey(bob, OTHER);
  await bob.page.getByRole("alert").waitFor();
  assert.equal(await bob.page.locator(".turn").count(), 0);
  assert.ok(!(await bob.page.locator("body").innerText()).includes("Zorvin"));
});
