import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Device, io } from 'weightnorm';
import { heldTensors } from '../support/collect';
import { temporaryFolder } from '../support/files';
import { op, pickle, tensorOp, torchBytes, type WrittenTensor } from '../support/torch-writer';
import { type ZipPart, zipBytes } from '../support/zip-writer';

const folder = temporaryFolder();
const cpu = Device.get('cpu');
const tensor: WrittenTensor = { storage: '0', type: 'FloatStorage', elements: 4, start: 0, shape: [2, 2], strides: [2, 1] };
const floats = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
const one = (change: Partial<WrittenTensor>): Buffer => torchBytes(pickle(op.dictOf([op.text('x'), tensorOp({ ...tensor, ...change })])), { '0': floats });
const of = (...body: Buffer[]): Buffer => torchBytes(pickle(...body), { '0': floats });
const repeat = (part: Buffer, count: number): Buffer => Buffer.concat(new Array<Buffer>(count).fill(part));

async function refusal(bytes: Uint8Array): Promise<{ code: string; message: string }> {
  const file = folder.file('hostile.pt', bytes);
  const before = await heldTensors(cpu);
  const error = await io.loadTorch(file, { device: cpu }).then(
    () => null,
    (reason) => reason,
  );
  expect(error).toMatchObject({ name: 'WeightNormError' });
  expect(error.message.startsWith(`${file}: `)).toBe(true);
  expect(cpu.memory().tensors).toBe(before);
  return error;
}

test('the writer of this spec writes what is read', async () => {
  const loaded = await io.loadTorch(folder.file('good.pt', one({})), { device: cpu });
  expect([...((await loaded.get('x')?.read()) ?? [])]).toEqual([1, 2, 3, 4]);
});

describe('a global that is not a tensor, parameter or dictionary is refused by name, and nothing runs', () => {
  const marker = folder.file('was-run');
  const command = op.tupleOf(op.text(`touch ${marker}`));
  const stackGlobal = (module: string, name: string): Buffer => Buffer.concat([op.text(module), op.text(name), Buffer.of(0x93)]);
  test.each<[string, Buffer, string]>([
    ['os.system', of(op.global('os', 'system'), command, op.reduce), 'os.system'],
    ['posix.system, as os.system is pickled', of(op.global('posix', 'system'), command, op.reduce), 'posix.system'],
    ['builtins.eval', of(op.global('builtins', 'eval'), op.tupleOf(op.text('1+1')), op.reduce), 'builtins.eval'],
    ['builtins.getattr', of(op.global('builtins', 'getattr'), op.tupleOf(op.text('a'), op.text('b')), op.reduce), 'builtins.getattr'],
    ['subprocess.Popen by STACK_GLOBAL', of(stackGlobal('subprocess', 'Popen'), command, op.reduce), 'subprocess.Popen'],
    ['a class made by NEWOBJ', of(op.global('argparse', 'Namespace'), op.emptyTuple, Buffer.of(0x81)), 'argparse.Namespace'],
    ["torch's own loader of pickles", of(op.global('torch.storage', '_load_from_bytes'), command, op.reduce), 'torch.storage._load_from_bytes'],
    ['a name with dots', of(stackGlobal('torch', '_utils._rebuild_tensor_v2.__globals__'), command, op.reduce), 'torch._utils._rebuild_tensor_v2.__globals__'],
    ['an inherited name', of(op.global('constructor', 'constructor'), command, op.reduce), 'constructor.constructor'],
    ['a quantised tensor', of(op.global('torch._utils', '_rebuild_qtensor'), op.emptyTuple, op.reduce), 'torch._utils._rebuild_qtensor'],
    ['a whole module', of(op.global('models', 'Generator'), op.emptyTuple, Buffer.of(0x81)), 'models.Generator'],
    ['one below a key that is not wanted', of(op.dictOf([op.text('a'), op.global('os', 'system')], [op.text('x'), tensorOp(tensor)])), 'os.system'],
  ])('%s', async (_, bytes, name) => {
    const { code, message } = await refusal(bytes);
    expect(code).toBe('ERR_FORMAT');
    expect(message).toContain(`names ${JSON.stringify(name)}, which is refused`);
    expect(message).toContain('no code of a file is ever run');
    expect(existsSync(marker)).toBe(false);
  });
});

/** A list that holds the list before it twice, and so on: 2^depth items of a few bytes. */
function laughs(depth: number): Buffer {
  const layers = Array.from({ length: depth }, (_, i) =>
    Buffer.concat([op.emptyList, op.put(i + 1), op.mark, op.get(i), op.get(i), op.appends, Buffer.from('0')]),
  );
  return Buffer.concat([op.emptyDict, op.put(0), op.mark, op.text('k'), op.int(1), op.setItems, Buffer.from('0'), ...layers, op.get(depth)]);
}

describe('a pickle that is malformed or made to exhaust is an ERR_FORMAT', () => {
  const cases: [string, Buffer, RegExp][] = [
    ['an empty pickle', torchBytes(Buffer.alloc(0)), /data\.pkl: ends in the middle of a value, after 0 bytes/],
    ['one without an end', torchBytes(Buffer.concat([op.proto(), op.emptyDict])), /ends in the middle of a value/],
    ['one with bytes after its end', torchBytes(Buffer.concat([pickle(op.emptyDict), Buffer.alloc(3)])), /has 3 bytes after its end/],
    ['one cut short in a text', torchBytes(Buffer.from([0x80, 2, 0x58, 255, 255, 0, 0, 65])), /ends in the middle of a value/],
    ['protocol 9', torchBytes(Buffer.concat([op.proto(9), op.emptyDict, op.stop])), /byte 0: has pickle protocol 9; protocols 2 to 5/],
    ['an unknown instruction', of(Buffer.of(0xff)), /byte 2: has the pickle instruction 0xff, which no torch file needs/],
    ['an instruction of extensions', of(Buffer.of(0x82, 1)), /instruction 0x82/],
    ['INST, which calls', of(op.mark, Buffer.from('ios\nsystem\n')), /instruction 0x69/],
    ['a stack that is empty', of(op.append), /takes a value from an empty stack/],
    ['a mark that is missing', of(op.setItems), /has no mark where it needs one/],
    ['two values at the end', of(op.none, op.none), /ends with more or less than one value/],
    ['a mark at the end', of(op.mark, op.none), /ends with more or less than one value/],
    ['a memory that was never filled', of(op.get(7)), /recalls value 7, which it never stored/],
    ['a memory of 2^32', of(op.none, Buffer.of(0x72, 255, 255, 255, 255)), /stores value 4294967295; at most/],
    ['a key without value', of(op.emptyDict, op.mark, op.text('x'), op.setItems), /sets an item without a value/],
    ['an item of a list', of(op.emptyList, op.text('x'), op.none, op.setItem), /sets an item of .*, which is no dictionary/],
    ['an appended tuple', of(op.emptyTuple, op.none, op.append), /appends to \[\], which is no list/],
    ['a call of a text', of(op.text('os.system'), op.emptyTuple, op.reduce), /calls "os\.system", which is no function/],
    ['a call without a tuple', of(op.global('torch', 'Size'), op.none, op.reduce), /calls torch\.Size with null/],
    ['a state for a list', of(op.emptyList, op.emptyDict, op.build), /sets the state of \[\]; only dictionaries may have one/],
    ['a text that is not UTF-8', of(Buffer.from([0x58, 2, 0, 0, 0, 0xff, 0xfe])), /has text that is not valid UTF-8/],
    ['an integer of 2^31 bytes', of(Buffer.from([0x8b, 0xff, 0xff, 0xff, 0x7f])), /has an integer of 2147483647 bytes/],
    ['an integer of a negative length', of(Buffer.from([0x8b, 0xff, 0xff, 0xff, 0xff])), /has an integer of -1 bytes/],
    ['a text of 2^63 bytes', of(Buffer.concat([Buffer.of(0x8d), Buffer.alloc(7), Buffer.of(0x80)])), /has a value of 9223372036854775808 bytes/],
    ['bytes encoded by another codec', of(op.global('_codecs', 'encode'), op.tupleOf(op.text('a'), op.text('rot13')), op.reduce), /encodes "a" as "rot13"/],
    ['an OrderedDict of text', of(op.global('collections', 'OrderedDict'), op.tupleOf(op.text('ab')), op.reduce), /makes an OrderedDict of "ab"/],
    ['a function where a value belongs', of(op.dictOf([op.text('f'), op.global('torch', 'Size')])), /"f" is a PickleFunction, which is no tensor/],
    ['two million dictionaries', of(op.mark, repeat(op.emptyDict, 2 ** 21), op.tuple), /makes more values than any checkpoint holds/],
    ['five million values', of(op.mark, repeat(op.none, 5_000_000), op.tuple), /makes more values than any checkpoint holds/],
    ['marks without end', of(repeat(op.mark, 20_000)), /nests its marks deeper/],
    ['a memo of two million', of(op.none, repeat(Buffer.of(0x94), 2_000_000)), /stores value 1048576; at most 1048576 are allowed/],
    ['nesting of 100 000 lists', of(repeat(op.emptyList, 100_000), op.none, op.append, repeat(op.append, 99_999)), /is nested deeper than 100 levels/],
    ['2^60 items of a few bytes', of(laughs(60)), /holds more than 262144 values when it is spread out/],
    ['a list that holds itself', of(op.emptyList, op.put(0), op.get(0), op.append), /is nested deeper than 100 levels/],
    ['a name of a million characters', of(op.dictOf([op.text('x'.repeat(1_000_000)), op.none])), /has a name of 1000000 characters/],
    [
      'one long list a thousand times',
      of(op.emptyList, op.put(0), op.mark, repeat(op.none, 100_000), op.appends, Buffer.from('0'), op.mark, repeat(op.get(0), 1000), op.tuple),
      /holds lists of more than 4194304 items/,
    ],
    [
      'two tensors of one dotted name',
      of(op.dictOf([op.text('a.b'), tensorOp(tensor)], [op.text('a'), op.dictOf([op.text('b'), tensorOp(tensor)])])),
      /has two values of the name "a\.b"/,
    ],
  ];
  test.each(cases)('%s', async (_, bytes, message) => {
    expect(await refusal(bytes)).toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(message) });
  });
});

describe('a tensor that is no view of its storage is an ERR_FORMAT', () => {
  test.each<[string, Buffer, RegExp]>([
    ['past the end', one({ start: 1 }), /shape \[2, 2\], strides \[2, 1\] and offset 1 that reaches element 4 of storage "0", which has 4/],
    ['a stride past the end', one({ strides: [1000, 1] }), /reaches element 1001/],
    ['a negative stride', one({ strides: [-1, 1], start: 2 }), /strides \[-1, 1\]; they must be as many integers of at least 0/],
    ['a negative offset', one({ start: -1 }), /starts at -1/],
    ['a negative dimension', one({ shape: [-2, -2] }), /shape \[-2, -2\]; it must be integers of at least 0/],
    ['an offset past 2^53', one({ start: 2n ** 62n }), /starts at 4611686018427387904n/],
    ['strides whose sum overflows', one({ strides: [2 ** 52, 2 ** 52] }), /reaches element/],
    ['dimensions whose product overflows', one({ shape: [2 ** 40, 2 ** 40], strides: [0, 0] }), /its tensors would take .* bytes, but it stores 16/],
    ['an expansion of a few bytes to a gigabyte', one({ shape: [2 ** 28], strides: [0] }), /its tensors would take 1073741824 bytes, but it stores 16/],
    ['too few strides', one({ strides: [1] }), /they must be as many/],
    ['65 dimensions', one({ shape: new Array(65).fill(1), strides: new Array(65).fill(1) }), /makes a tensor of shape an array of 65/],
    ['9 dimensions', one({ shape: new Array(9).fill(1), strides: new Array(9).fill(1) }), /tensor "x" has rank 9; ranks 0 to 8 are allowed/],
    ['a storage larger than its entry', one({ elements: 1000 }), /entry "archive\/data\/0" has 16 bytes; "archive\/data\.pkl" says 4000/],
    ['a storage smaller than its entry', one({ elements: 2, shape: [2], strides: [1] }), /has 16 bytes; .* says 8/],
    ['a storage of 2^62 elements', one({ elements: 2n ** 62n }), /describes a storage by/],
    ['a storage that is not there', one({ storage: '9' }), /entry "archive\/data\/9" is missing/],
    ['a storage outside the archive', one({ storage: '../../../etc/passwd' }), /entry "archive\/data\/\.\.\/\.\.\/\.\.\/etc\/passwd" is missing/],
    [
      'a storage of two types',
      of(op.dictOf([op.text('x'), tensorOp(tensor)], [op.text('y'), tensorOp({ ...tensor, type: 'IntStorage' })])),
      /describes storage "0" in two ways/,
    ],
    ['a storage class that is unknown', one({ type: 'QInt8Storage' }), /names "torch\.QInt8Storage", which is refused/],
    ['a persistent id of a module', of(op.tupleOf(op.text('module'), op.text('a'), op.text('b')), op.persid), /has a persistent id of/],
    [
      'a tensor without a storage',
      of(op.global('torch._utils', '_rebuild_tensor_v2'), op.tupleOf(op.text('x')), op.reduce),
      /makes a tensor of "x", which is no storage/,
    ],
    ['a tensor without anything', of(op.global('torch._utils', '_rebuild_tensor_v2'), op.emptyTuple, op.reduce), /makes a tensor of undefined/],
    ['a parameter of a text', of(op.global('torch._utils', '_rebuild_parameter'), op.tupleOf(op.text('x')), op.reduce), /makes a parameter of "x"/],
    [
      'a tensor of another type than its storage',
      of(
        op.global('torch._utils', '_rebuild_tensor_v3'),
        op.tupleOf(op.text('x'), op.int(0), op.emptyTuple, op.emptyTuple, op.none, op.none, op.text('torch.float32')),
        op.reduce,
      ),
      /makes a tensor of dtype "torch\.float32"/,
    ],
  ])('%s', async (_, bytes, message) => {
    expect(await refusal(bytes)).toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(message) });
  });
});

const good = pickle(op.dictOf([op.text('x'), tensorOp(tensor)]));
const parts = (change: (parts: ZipPart[]) => ZipPart[] = (all) => all): ZipPart[] =>
  change([
    { name: 'archive/data.pkl', data: good },
    { name: 'archive/data/0', data: floats },
  ]);
const lie = (index: number, lies: ZipPart['lies']): Buffer => zipBytes(parts((all) => all.map((part, i) => (i === index ? { ...part, lies } : part))));

describe('an archive that is damaged or made to mislead is an ERR_FORMAT', () => {
  test.each<[string, Buffer, RegExp]>([
    ['cut short', zipBytes(parts()).subarray(0, -30), /is no complete zip archive: its directory at the end is missing/],
    ['with bytes behind it', Buffer.concat([zipBytes(parts()), Buffer.alloc(7)]), /is no complete zip archive/],
    ['only its first four bytes', Buffer.from('PK\x03\x04'), /is no complete zip archive/],
    ['a directory past the end', zipBytes(parts(), { directoryOffset: 2 ** 31 }), /its directory is said to be at bytes 2147483648/],
    ['a directory that is too large', zipBytes(parts(), { directoryBytes: 2 ** 31 }), /its directory is said to be at bytes/],
    ['a directory of 65 000 entries', zipBytes(parts(), { count: 65_000 }), /is said to have 65000 entries, but only/],
    ['2^40 entries in zip64', zipBytes(parts(), { count: 2 ** 40, zip64: true }), /is said to have 1099511627776 entries/],
    ['fewer entries than there are', zipBytes(parts(), { count: 1 }), /has \d+ bytes after its 1 entries/],
    ['overlapping entries', lie(1, { header: 0 }), /entry "archive\/data\/0" overlaps another one/],
    ['an entry past the end', lie(1, { packed: 2 ** 30, bytes: 2 ** 30 }), /entry "archive\/data\/0" says it has 1073741824 bytes/],
    ['an entry whose header is elsewhere', lie(1, { header: 2 ** 31 }), /past the end of the data/],
    [
      'an entry that hides another',
      zipBytes(parts(([a, b]) => [{ ...(a as ZipPart), hidden: true }, { ...(a as ZipPart), lies: { header: 1 } }, b as ZipPart])),
      /has 1 bytes before its first entry|overlaps/,
    ],
    ['one name twice', zipBytes(parts(([a, b]) => [a, b, b] as ZipPart[])), /has two entries of the name "archive\/data\/0"/],
    ['another name in the local header', lie(1, { localName: 'archive/data/1' }), /has another name in its local header/],
    ['a wrong CRC', lie(1, { crc: 1 }), /entry "archive\/data\/0" is damaged: its CRC-32 is [0-9a-f]{8}, not 00000001/],
    ['a wrong CRC of the pickle', lie(0, { crc: 1 }), /entry "archive\/data\.pkl" is damaged/],
    ['encryption', lie(1, { flags: 1 }), /entry "archive\/data\/0" is encrypted/],
    ['a method that is unknown', lie(1, { method: 93 }), /is packed by method 93/],
    ['a stored entry of two sizes', lie(1, { bytes: 32 }), /is stored, but its two sizes, 16 and 32, differ/],
    ['a compressed storage', zipBytes(parts(([a, b]) => [a, { ...b, deflate: true }] as ZipPart[])), /is compressed; torch stores tensors as they are/],
    [
      'a pickle that unpacks to another size',
      zipBytes(parts(([a, b]) => [{ ...a, deflate: true, lies: { bytes: good.length + 1 } }, b] as ZipPart[])),
      /unpacks to \d+ bytes; the directory says/,
    ],
    [
      'a pickle that unpacks to more',
      zipBytes(parts(([a, b]) => [{ ...a, deflate: true, lies: { bytes: 10 } }, b] as ZipPart[])),
      /unpacks to more than the 10 bytes/,
    ],
    ['garbage for a compressed pickle', lie(0, { method: 8 }), /cannot be unpacked|unpacks to/],
    [
      'a bomb',
      zipBytes(parts((all) => [...all, { name: 'archive/bomb', data: Buffer.alloc(1000), deflate: true, lies: { bytes: 2 ** 31 } }])),
      /unpacks to 2147\d+ bytes from \d+; at most 100 times/,
    ],
    [
      'a pickle of 100 MB',
      zipBytes([{ name: 'archive/data.pkl', data: Buffer.alloc(100_000_000), deflate: true }]),
      /has 100000000 bytes; at most 67108864 are allowed/,
    ],
    ...['../evil', '/etc/passwd', 'a/../../b', 'c:\\windows', '', 'nul\0'].map((name): [string, Buffer, RegExp] => [
      `an entry named ${JSON.stringify(name)}`,
      zipBytes(parts((all) => [...all, { name, data: floats }])),
      /has an entry named .*; a name must be a path inside the archive/,
    ]),
    ['two pickles', zipBytes(parts((all) => [...all, { name: 'other/data.pkl', data: good }])), /has 2 entries named data\.pkl/],
    [
      'an unknown byte order',
      zipBytes(parts((all) => [...all, { name: 'archive/byteorder', data: Buffer.from('middle') }])),
      /is "middle"; it must be "little" or "big"/,
    ],
  ])('%s', async (_, bytes, message) => {
    expect(await refusal(bytes)).toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(message) });
  });
});

describe('a file of old torch that is damaged is an ERR_FORMAT', () => {
  const legacy = readFileSync('test/golden/torch/legacy.pth');
  test.each<[string, Buffer, RegExp]>([
    ['cut in its description', legacy.subarray(0, 300), /ends at byte 300, in the middle of a value/],
    ['cut in its storages', legacy.subarray(0, -5), /ends at byte \d+; storage ".*" goes on to byte/],
    ['with bytes behind it', Buffer.concat([legacy, Buffer.alloc(3)]), /has 3 bytes after its last storage/],
    ['of another version', Buffer.from(legacy.toString('latin1').replace('M\xe9\x03.', 'M\xea\x03.'), 'latin1'), /has version 1002 of torch's old format/],
  ])('%s', async (_, bytes, message) => {
    expect(await refusal(bytes)).toMatchObject({ code: 'ERR_FORMAT', message: expect.stringMatching(message) });
  });
});

test.each(['everything.pth', 'legacy.pth', 'compressed.npz'])('any damage to %s is an error of the library or harmless, never anything else', async (name) => {
  const bytes = readFileSync(`test/golden/torch/${name}`);
  const load = name.endsWith('npz') ? io.loadNpz : io.loadTorch;
  const damage = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(damage, fc.option(fc.nat(bytes.length), { freq: 5 }), async (changes, cut) => {
      const broken = Buffer.from(bytes);
      for (const [at, value] of changes) broken[at] = value;
      const file = folder.file('fuzzed', cut === null ? broken : broken.subarray(0, cut));
      await load(file, { device: cpu }).then(
        (loaded) => {
          for (const item of loaded.values()) item.dispose();
        },
        (error) => {
          if (error.name !== 'WeightNormError') throw error;
        },
      );
    }),
    { numRuns: 400 },
  );
});
