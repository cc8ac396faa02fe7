import { describe, fail } from '../errors.js';
import { readNpyHeader } from './npy.js';
import { elementBytes, type OpenTensor } from './stored.js';
import { elementsOf, gather, rowMajor, swapBytes } from './strided.js';
import type { ZipArchive, ZipEntry } from './zip.js';

/** NumPy's dtypes, without their byte order, and the safetensors names of the same. */
const dtypes: Readonly<Record<string, string>> = {
  f2: 'F16',
  f4: 'F32',
  f8: 'F64',
  b1: 'BOOL',
  i1: 'I8',
  u1: 'U8',
  i2: 'I16',
  u2: 'U16',
  i4: 'I32',
  u4: 'U32',
  i8: 'I64',
  u8: 'U64',
  c8: 'C64',
};

/** More than any header of an array of plain numbers takes. */
const headBytes = 1 << 12;

/** Whether an archive is one of NumPy's: arrays only. */
export function isNpz(archive: ZipArchive): boolean {
  return archive.entries.size > 0 && [...archive.entries.keys()].every((name) => name.endsWith('.npy'));
}

/** The arrays of a `.npz` archive, stored or deflated, as tensors in the order of the file. Only their headers have been read. */
export async function npzTensors(archive: ZipArchive): Promise<OpenTensor[]> {
  const tensors: OpenTensor[] = [];
  for (const entry of archive.entries.values()) tensors.push(await openArray(archive, entry));
  return tensors.sort((a, b) => a.offset - b.offset);
}

async function openArray(archive: ZipArchive, entry: ZipEntry): Promise<OpenTensor> {
  const { path } = archive.file;
  const what = `${path}: ${entry.name}`;
  const start = await archive.head(entry, headBytes);
  const { descr, fortran, shape, offset } = await readNpyHeader({
    what,
    size: entry.bytes,
    read: async (at, length) =>
      at + length <= start.length
        ? start.slice(at, at + length)
        : fail('ERR_FORMAT', `${what}: its header takes ${at + length} bytes; at most ${headBytes} are allowed`),
  });
  const dtype = dtypes[descr.slice(1)];
  if (dtype === undefined || !/^[<>|]/.test(descr))
    fail('ERR_FORMAT', `${what}: dtype is ${describe(descr)}; arrays of floats, integers and booleans are allowed`);
  const itemBytes = elementBytes[dtype] as number;
  const bytes = elementsOf(shape) * itemBytes;
  if (offset + bytes !== entry.bytes)
    fail('ERR_FORMAT', `${what}: holds ${entry.bytes - offset} bytes of data; shape [${shape.join(', ')}] of '${descr}' takes ${bytes}`);
  const read = async (): Promise<Uint8Array<ArrayBuffer>> => {
    const data = (await archive.read(entry)).slice(offset);
    if (descr.startsWith('>')) swapBytes(data, dtype === 'C64' ? 4 : itemBytes);
    if (!fortran) return data;
    return gather(data, itemBytes, { start: 0, shape, strides: rowMajor([...shape].reverse()).reverse() }, path);
  };
  return {
    name: entry.name.slice(0, -'.npy'.length),
    dtype,
    shape,
    offset: entry.header,
    bytes,
    read,
    pieces: async function* () {
      yield await read();
    },
  };
}
