import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { Reader, ZipReader } from "@zip.js/zip.js/lib/zip-core.js";
import { InferenceError } from "../../src/core/errors.ts";
import { type ByteSink, MemorySink } from "../../src/formats/byte_sink.ts";
import { type NewTorchTensor, writeTorchFile } from "../../src/formats/torch_writer.ts";
import { open } from "./hostile.ts";
import { encodeFloats } from "./pth_fixture.ts";

const ramp = (length: number) => Float32Array.from({ length }, (_, i) => i / 4 - 3);

const tensors: readonly (NewTorchTensor & { data: Float32Array })[] = [
  { name: "emb.weight", dtype: "BF16", shape: [701, 503], data: ramp(701 * 503) },
  { name: "blocks.0.att.time_mix_k", dtype: "F16", shape: [1, 1, 5], data: ramp(5) },
  { name: "ln_out.bias", dtype: "F32", shape: [3], data: Float32Array.of(1e-40, -0, 3.4e38) },
  { name: "scalar", dtype: "F32", shape: [], data: Float32Array.of(0.1) },
  { name: "empty", dtype: "F32", shape: [0, 4], data: new Float32Array() },
  { name: "four 世界", dtype: "BF16", shape: [1, 2, 3, 2], data: ramp(12) },
];

/** Yields a tensor's bytes in chunks, one of them empty. */
async function* piecesOf(
  { dtype, data }: (typeof tensors)[number],
  size = 1013,
): AsyncGenerator<Uint8Array> {
  const bytes = encodeFloats(dtype, data);
  yield new Uint8Array();
  for (let at = 0; at < bytes.length; at += size) {
    await Promise.resolve();
    yield bytes.subarray(at, at + size);
  }
}

async function written(options: { zip64?: boolean } = {}): Promise<Uint8Array<ArrayBuffer>> {
  const sink = new MemorySink("test.bin");
  await writeTorchFile(sink, tensors, { bytesOf: piecesOf, ...options });
  return sink.bytes;
}

for (const zip64 of [false, true]) {
  const kind = zip64 ? " with zip64 records" : "";
  Deno.test(`a .pth${kind} written incrementally is read back`, async () => {
    const checkpoint = await open(await written({ zip64 }));
    assert.equal(checkpoint.format, "pth");
    assert.deepEqual([...checkpoint.tensors.keys()], tensors.map(({ name }) => name));
    for (const { name, dtype, shape, data } of tensors) {
      const info = checkpoint.tensors.get(name)!;
      assert.deepEqual([info.dtype, info.shape], [dtype, shape]);
      const bytes = await checkpoint.readRaw(name, 0, info.byteLength);
      assert.deepEqual(Uint8Array.from(bytes), encodeFloats(dtype, data), name);
    }
  });

  Deno.test(`the archive${kind} has the layout of torch.save`, async () => {
    const file = await written({ zip64 });
    const view = new DataView(file.buffer);
    const names: string[] = [];
    for (const { filename, offset, crc32: crc, ...entry } of await entriesOf(file)) {
      names.push(filename);
      assert.equal(entry.compressionMethod, 0);
      assert.equal(entry.compressedSize, entry.uncompressedSize);
      const start = offset + 30 + view.getUint16(offset + 26, true) +
        view.getUint16(offset + 28, true);
      assert.equal(start % 64, 0, filename);
      assert.equal(crc, crc32(file.subarray(start, start + entry.uncompressedSize)), filename);
      assert.equal(entry.zip64, zip64);
    }
    assert.deepEqual(names, [
      "archive/data.pkl",
      "archive/byteorder",
      ...tensors.map((_, key) => `archive/data/${key}`),
      "archive/version",
    ]);
  });
}

Deno.test("equal tensors give equal files, independent of the chunks", async () => {
  const sink = new MemorySink("test.bin");
  const slowly: ByteSink = {
    name: sink.name,
    write: async (offset, bytes) => {
      await new Promise((resolve) => setTimeout(resolve));
      await sink.write(offset, bytes);
    },
  };
  await writeTorchFile(slowly, tensors, { bytesOf: (tensor) => piecesOf(tensor, 1e6) });
  assert.deepEqual(sink.bytes, await written());
});

Deno.test("a wrong number of bytes is an error", async () => {
  const write = (length: number) =>
    writeTorchFile(new MemorySink("test.bin"), [{ name: "x", dtype: "F16", shape: [3] }], {
      bytesOf: () => [new Uint8Array(2), new Uint8Array(length)],
    });
  await write(4);
  await assert.rejects(write(3), /data\/0: its size is 6 bytes, but 5 were provided/);
  await assert.rejects(write(5), /data\/0: its size is 6 bytes, but more were provided/);
  const x: NewTorchTensor = { name: "x", dtype: "F16", shape: [3] };
  const twice = writeTorchFile(new MemorySink("test.bin"), [x, x], { bytesOf: () => [] });
  await assert.rejects(twice, /"x": the name occurs twice/);
});

Deno.test("errors of the sink and of the source propagate and close both", async () => {
  const full = new InferenceError("file_error", "full");
  for (let writes = 0; writes < 8; writes++) {
    let left = writes;
    let open = 0;
    const sink: ByteSink = {
      name: "test.bin",
      write: () => left-- > 0 ? Promise.resolve() : Promise.reject(full),
    };
    const bytesOf = async function* (tensor: (typeof tensors)[number]) {
      open++;
      try {
        yield* piecesOf(tensor);
      } finally {
        open--;
      }
    };
    await assert.rejects(writeTorchFile(sink, tensors, { bytesOf }), (error) => error === full);
    assert.equal(open, 0);
  }
  const lost = new Error("lost");
  const bytesOf = async function* (tensor: (typeof tensors)[number]) {
    yield* piecesOf(tensor);
    if (tensor.name === "scalar") throw lost;
  };
  const writing = writeTorchFile(new MemorySink("test.bin"), tensors, { bytesOf });
  await assert.rejects(writing, (error) => error === lost);
});

/** Reads the directory with zip.js. */
async function entriesOf(file: Uint8Array<ArrayBuffer>) {
  class FileReader extends Reader<Uint8Array<ArrayBuffer>> {
    override size = file.length;
    // deno-lint-ignore require-await
    override async readUint8Array(index: number, length: number) {
      return file.slice(index, index + length);
    }
  }
  return await new ZipReader(new FileReader(file)).getEntries();
}
