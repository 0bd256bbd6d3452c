import assert from "node:assert/strict";
import { writeFileAtomic } from "../../src/model_files/file_sink.ts";
import { InferenceError } from "../../src/core/errors.ts";

const OLD = Uint8Array.of(1, 2, 3);
const NEW = Uint8Array.of(4, 5, 6, 7);

/** Runs `run` with a path in a new folder that is empty or contains an old file. */
async function withPath(
  old: Uint8Array | null,
  run: (path: string, files: () => string[]) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    if (old) await Deno.writeFile(`${folder}/x.bin`, old);
    const files = () => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    await run(`${folder}/x.bin`, files);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function isError(code: string, message: RegExp): (error: unknown) => true {
  return (error) => {
    assert(error instanceof InferenceError, `${error}`);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

for (const old of [null, OLD]) {
  const where = old ? "over an existing file" : "in an empty folder";

  Deno.test(`writeFileAtomic creates a complete file ${where}`, async () => {
    await withPath(old, async (path, files) => {
      const result = await writeFileAtomic(path, async (sink) => {
        assert.equal(sink.name, path);
        await sink.write(6, Uint8Array.of(9));
        await sink.write(1, NEW);
        await sink.write(2, new Uint8Array());
        await Promise.all([sink.write(0, OLD), sink.write(5, Uint8Array.of(8))]);
        assert.deepEqual(files(), old ? ["x.bin", "x.bin.part"] : ["x.bin.part"]);
        if (old) assert.deepEqual(await Deno.readFile(path), old);
        return "done";
      });
      assert.equal(result, "done");
      assert.deepEqual(await Deno.readFile(path), Uint8Array.of(1, 2, 3, 6, 7, 8, 9));
      assert.deepEqual(files(), ["x.bin"]);
    });
  });

  Deno.test(`a failed write leaves no trace ${where}`, async () => {
    await withPath(old, async (path, files) => {
      const lost = new Error("lost");
      const writing = writeFileAtomic(path, async (sink) => {
        await sink.write(0, NEW);
        throw lost;
      });
      await assert.rejects(writing, (error) => error === lost);
      assert.deepEqual(files(), old ? ["x.bin"] : []);
      if (old) assert.deepEqual(await Deno.readFile(path), old);
    });
  });

  Deno.test(`an aborted write leaves no trace ${where}`, async () => {
    await withPath(old, async (path, files) => {
      const controller = new AbortController();
      const { signal } = controller;
      const writing = writeFileAtomic(path, async (sink) => {
        await sink.write(0, NEW);
        controller.abort();
        await sink.write(4, NEW);
        assert.fail("a write continued");
      }, { signal });
      await assert.rejects(writing, isError("cancelled", /^Cannot write .*x\.bin: it was canc/));
      const late = new AbortController();
      await assert.rejects(
        writeFileAtomic(path, () => Promise.resolve(late.abort()), { signal: late.signal }),
        isError("cancelled", /x\.bin/),
      );
      await assert.rejects(
        writeFileAtomic(path, () => assert.fail("the write started"), { signal }),
        isError("cancelled", /x\.bin/),
      );
      assert.deepEqual(files(), old ? ["x.bin"] : []);
      if (old) assert.deepEqual(await Deno.readFile(path), old);
    });
  });
}

Deno.test("an obstacle at the path is reported and not removed", async () => {
  await withPath(null, async (path, files) => {
    const write = (to: string) => writeFileAtomic(to, (sink) => sink.write(0, NEW));
    await assert.rejects(
      write(`${path}/none/y.bin`),
      isError("file_error", /^Cannot write .*\/none\/y\.bin: /),
    );
    await Deno.mkdir(path);
    await assert.rejects(write(path), isError("file_error", /not a regular file/));
    assert.deepEqual(files(), ["x.bin"]);
    await Deno.rename(path, `${path}.part`);
    await assert.rejects(write(path), isError("file_error", /^Cannot write .*x\.bin: /));
    assert.deepEqual(files(), ["x.bin.part"]);
  });
});

Deno.test("a second writer is rejected during a write", async () => {
  await withPath(OLD, async (path, files) => {
    await writeFileAtomic(path, async (sink) => {
      await sink.write(0, NEW);
      await assert.rejects(
        writeFileAtomic(path, () => assert.fail("the write started")),
        isError("file_error", /x\.bin: another process is writing it/),
      );
    });
    assert.deepEqual(await Deno.readFile(path), NEW);
    assert.deepEqual(files(), ["x.bin"]);
  });
});

Deno.test("concurrent writers create one complete file", async () => {
  await withPath(null, async (path, files) => {
    for (let round = 0; round < 20; round++) {
      const results = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) =>
          writeFileAtomic(path, async (sink) => {
            for (let at = 0; at < 5; at++) await sink.write(at, Uint8Array.of(i));
            return i;
          })),
      );
      const done = results.filter((result) => result.status === "fulfilled");
      assert(done.length > 0);
      for (const result of results) {
        if (result.status === "rejected") isError("file_error", /another process/)(result.reason);
      }
      const content = await Deno.readFile(path);
      assert.equal(content.length, 5);
      assert(content.every((byte) => byte === content[0]), `${content}`);
      assert.deepEqual(files(), ["x.bin"]);
    }
  });
});

Deno.test("SIGKILL during a write leaves no file, and the next write succeeds", async () => {
  await withPath(null, async (path, files) => {
    const module = new URL("../../src/model_files/file_sink.ts", import.meta.url).href;
    const code = `import { writeFileAtomic } from "${module}";
      await writeFileAtomic(${JSON.stringify(path)}, async (sink) => {
        for (let at = 0;; at += 4096) {
          await sink.write(at, new Uint8Array(4096).fill(1));
          if (at === 40960) console.log("writing");
        }
      });`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["eval", code],
      stdout: "piped",
    }).spawn();
    const lines = child.stdout.getReader();
    const { done } = await lines.read();
    assert(!done, "the child wrote nothing");
    await assert.rejects(
      writeFileAtomic(path, () => assert.fail("the write started")),
      isError("file_error", /another process is writing it/),
    );
    child.kill("SIGKILL");
    await child.status;
    await lines.cancel();
    assert.deepEqual(files(), ["x.bin.part"]);
    await writeFileAtomic(path, (sink) => sink.write(0, NEW));
    assert.deepEqual(await Deno.readFile(path), NEW);
    assert.deepEqual(files(), ["x.bin"]);
  });
});

Deno.test("a missing permission is reported as NotCapable", async () => {
  const worker = `import { writeFileAtomic } from "${
    new URL("../../src/model_files/file_sink.ts", import.meta.url).href
  }";
    await writeFileAtomic("/tmp/x.bin", async () => {}).catch((error) => console.log(error.name));`;
  await withPath(null, async (path) => {
    await Deno.writeTextFile(`${path}.ts`, worker);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--allow-read", `${path}.ts`],
      stderr: "inherit",
    }).output();
    assert.equal(new TextDecoder().decode(stdout).trim(), "NotCapable");
  });
});
