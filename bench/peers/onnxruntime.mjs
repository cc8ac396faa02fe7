// onnxruntime on the CPU, through its Node package, as a peer of the benchmark; see lib/cli/bench/peers.ts for the protocol.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { layerGraph, opGraph, vocoderGraph } from './graphs.mjs';

/** The user's own copy, or the one that `npm run bench` installed. */
function load() {
  const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
  for (const folder of [process.cwd(), root, path.join(root, 'build', 'peers')]) {
    try {
      const require = createRequire(path.join(folder, 'package.json'));
      return { ort: require('onnxruntime-node'), version: require('onnxruntime-node/package.json').version };
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw new Error('it is not installed (npm install onnxruntime-node)');
}

/** Names to { shape, data } of a safetensors file of float32. */
function readTensors(file) {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  return new Map(
    entries.map(
      ([
        name,
        {
          shape,
          data_offsets: [begin, end],
        },
      ]) => [name, { shape, data: new Float32Array(Uint8Array.prototype.slice.call(bytes, 8 + length + begin, 8 + length + end).buffer) }],
    ),
  );
}

const loaded = new Map();
let runtime;
let threads = 1;

/** A session of one copy for `output`, and of `copies` for `time`: calls into onnxruntime cost some 30 µs, which the others do not pay. */
async function subject({ case: item, variant, file }) {
  const { ort } = runtime;
  if (variant !== 'folded' && variant !== 'op') return null;
  const tensors = readTensors(file);
  const tensor = (name) => new ort.Tensor('float32', tensors.get(name).data, tensors.get(name).shape);
  const sessions = new Map();
  const session = async (copies) => {
    if (!sessions.has(copies)) {
      const model = item.suite === 'vocoder' ? vocoderGraph(item, tensors) : item.suite === 'ops' ? opGraph(item, copies) : layerGraph(item, tensors, copies);
      const options = { executionProviders: ['cpu'], intraOpNumThreads: threads, interOpNumThreads: 1, graphOptimizationLevel: 'all' };
      sessions.set(copies, await ort.InferenceSession.create(model, options));
    }
    return sessions.get(copies);
  };
  const feeds = (copies) => {
    if (item.suite === 'vocoder') return { mel: tensor('mel') };
    const [prefix, value] = item.suite === 'ops' ? ['v', tensor('weight_v')] : ['x', tensor('x')];
    const many = Object.fromEntries(Array.from({ length: copies }, (_, i) => [`${prefix}${i}`, value]));
    return item.suite === 'ops' ? { ...many, g: tensor('weight_g') } : many;
  };
  const run = async (copies) => Object.values(await (await session(copies)).run(feeds(copies)))[0];
  return {
    output: async () => (await run(1)).data,
    time: async (repeats) => {
      const copies = item.suite === 'vocoder' ? 1 : Math.min(repeats, 32);
      await session(copies);
      const values = feeds(copies);
      const rounds = Math.ceil(repeats / copies);
      const start = performance.now();
      for (let i = 0; i < rounds; i++) await (await session(copies)).run(values);
      return ((performance.now() - start) / 1000 / (rounds * copies)) * repeats;
    },
    release: async () => {
      for (const one of sessions.values()) await one.release();
    },
  };
}

async function answer(request) {
  if (request.command === 'hello') {
    runtime = load();
    threads = request.threads;
    return { version: runtime.version, device: 'cpu' };
  }
  if (request.command === 'load') {
    const made = await subject(request);
    if (!made) return { unsupported: 'an exported graph has plain weights' };
    loaded.set(request.id, made);
    return {};
  }
  const one = loaded.get(request.id);
  if (request.command === 'time') return { seconds: await one.time(request.repeats) };
  if (request.command === 'output') {
    const values = await one.output();
    writeFileSync(request.file, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return {};
  }
  loaded.delete(request.id);
  await one.release();
  return {};
}

for await (const line of createInterface({ input: process.stdin })) {
  const reply = await answer(JSON.parse(line)).catch((error) => ({ error: error.message }));
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}
