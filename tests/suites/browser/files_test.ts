/** Exporting conversations as files and importing them. */

import assert from "node:assert/strict";
import { BrowserFixture } from "./fixture.ts";

const fixture = BrowserFixture.forTests();

Deno.test("an exported conversation can be imported as a new state", async () => {
  const file = await Deno.makeTempFile();
  try {
    let exported: string;
    {
      await using visit = await fixture.visit();
      const { page } = visit;
      assert.equal(await page.getByRole("button", { name: "Export" }).isDisabled(), true);
      await visit.sendAndWait("Hi! My name is Ada.");
      exported = visit.state;
      const download = page.waitForEvent("download");
      await page.getByRole("button", { name: "Export" }).click();
      assert.match((await download).suggestedFilename(), /^state_\w+\.rwkvstate$/);
      await (await download).saveAs(file);
    }
    await using other = await fixture.visit();
    const chosen = other.page.waitForEvent("filechooser");
    await other.page.getByRole("button", { name: "Import a file" }).click();
    await (await chosen).setFiles(file);
    await other.waitForTurns(1);
    assert.match(other.state, /^state_/);
    assert.notEqual(other.state, exported);
    assert.deepEqual(await other.questions(), ["Hi! My name is Ada."]);
    assert.match(await other.sendAndWait("What is my name?"), /Ada/);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("an invalid file is rejected and the current conversation stays", async () => {
  await using visit = await fixture.visit({ expected: /status of 400/ });
  await visit.sendAndWait("Hi! My name is Ada.");
  const before = visit.state;
  const chosen = visit.page.waitForEvent("filechooser");
  await visit.page.getByRole("button", { name: "Import a file" }).click();
  const file = { name: "notes.txt", mimeType: "text/plain" };
  const { Buffer } = await import("node:buffer");
  await (await chosen).setFiles({ ...file, buffer: Buffer.from("just some notes") });
  await visit.page.getByRole("alert").getByText(/Cannot/).waitFor();
  assert.equal(visit.state, before);
  assert.match(await visit.sendAndWait("What is my name?"), /Ada/);
});
