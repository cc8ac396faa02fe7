import { describe, fail } from '../errors.js';
import { decodeUtf8, withInput, writeAtomically } from './file.js';
import { widenHalf } from './half.js';

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
const itemBytes: Readonly<Record<string, number>> = { '<f2': 2, '<f4': 4, '<f8': 8 };
const largestHeader = 1 << 20;

/** A NumPy array: values in row-major order, and its shape. */
export interface NpyArray {
  data: Float32Array;
  shape: number[];
}

/**
 * Loads a NumPy `.npy` file (format versions 1 to 3) of little-endian float16, float32 or float64 in C order, as float32.
 * @throws WeightNormError ERR_IO if the file cannot be read, ERR_FORMAT for any other content.
 */
export async function loadNpy(path: string): Promise<NpyArray> {
  return withInput(path, async (file) => {
    const header = await readNpyHeader({ what: path, size: file.size, read: (at, length) => file.read(at, length) });
    const { descr, shape, offset } = header;
    const bad = (message: string): never => fail('ERR_FORMAT', `${path}: ${message}`);
    if (!(descr in itemBytes)) bad(`dtype is '${descr}'; '<f2', '<f4' and '<f8' (little-endian floats) are allowed`);
    if (header.fortran) bad('is in Fortran order; save it with numpy.ascontiguousarray');
    const size = shape.reduce((product, dim) => product * dim, 1);
    const bytes = size * (itemBytes[descr] as number);
    if (offset + bytes !== file.size) {
      fail('ERR_FORMAT', `${path}: holds ${file.size - offset} bytes of data; shape [${shape.join(', ')}] of '${descr}' takes ${bytes}`);
    }
    const { buffer } = await file.read(offset, bytes);
    if (descr === '<f4') return { data: new Float32Array(buffer), shape };
    return { data: descr === '<f8' ? Float32Array.from(new Float64Array(buffer)) : widenHalf(new Uint16Array(buffer)), shape };
  });
}

/** The bytes of a `.npy` file, wherever they are. */
export interface NpySource {
  /** Names it in messages. */
  what: string;
  size: number;
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
}

export interface NpyHeader {
  /** NumPy's name of the dtype, such as '<f4'. */
  descr: string;
  fortran: boolean;
  shape: number[];
  /** Where the data begins. */
  offset: number;
}

/** Reads what a `.npy` file says before its data; ERR_FORMAT, naming it, where that is malformed. */
export async function readNpyHeader(file: NpySource): Promise<NpyHeader> {
  const bad = (message: string): never => fail('ERR_FORMAT', `${file.what}: ${message}`);
  if (file.size < 12) bad(`is ${file.size} bytes long; that is too short for a .npy file`);
  const start = await file.read(0, 12);
  if (magic.some((byte, i) => start[i] !== byte)) bad("is not a .npy file: it does not start with '\\x93NUMPY'");
  const version = start[6] as number;
  if (version < 1 || version > 3) bad(`has .npy format version ${version}; versions 1 to 3 are known`);
  const view = new DataView(start.buffer);
  const prefix = version === 1 ? 10 : 12;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (length > largestHeader || prefix + length > file.size)
    bad(`header length is ${length}; the file has ${file.size} bytes, and at most ${largestHeader} are allowed`);
  const header = await file.read(prefix, length);
  const text = (version === 3 ? decodeUtf8(header, `${file.what}: header`) : Buffer.from(header).toString('latin1')).trim();
  return { ...parseDictionary(text, bad), offset: prefix + length };
}

/** Parses the header's Python dictionary, whose three keys may come in any order. */
function parseDictionary(text: string, bad: (message: string) => never): Omit<NpyHeader, 'offset'> {
  const fields = new Map<string, string>();
  const body = /^\{(.*)\}$/s.exec(text)?.[1] ?? bad(`header is ${describe(text)}; it must be a Python dictionary`);
  const rest = body.replace(
    /\s*(['"])(descr|fortran_order|shape)\1\s*:\s*('[^']*'|"[^"]*"|True|False|\([\d,\sL]*\))\s*(?:,|$)/gy,
    (_, _quote, key: string, value: string) => {
      if (fields.has(key)) bad(`header has the key '${key}' twice`);
      fields.set(key, value);
      return '';
    },
  );
  const descr = fields.get('descr')?.slice(1, -1);
  const order = fields.get('fortran_order');
  const dims = fields.get('shape');
  if (rest.trim() !== '' || descr === undefined || dims === undefined || (order !== 'True' && order !== 'False')) {
    return bad(`header is ${describe(text)}; it must give descr, fortran_order and shape`);
  }
  const shape = dims
    .slice(1, -1)
    .split(',')
    .map((dim) => dim.trim().replace(/L$/, ''))
    .filter((dim, i, all) => dim !== '' || i < all.length - 1)
    .map((dim) => (/^\d+$/.test(dim) ? Number(dim) : bad(`shape is ${describe(dims)}; it must be a tuple of integers`)));
  return { descr, fortran: order === 'True', shape };
}

/**
 * Saves values as a NumPy `.npy` file (format version 1, '<f4', C order), whole or not at all.
 * @param data as many values as `shape` holds, row-major
 */
export async function saveNpy(path: string, data: Float32Array, shape: readonly number[]): Promise<void> {
  if (Object.prototype.toString.call(data) !== '[object Float32Array]') fail('ERR_DTYPE', `data is ${describe(data)}; it must be a Float32Array`);
  if (!Array.isArray(shape) || !shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0))
    fail('ERR_SHAPE', `shape is ${describe(shape)}; it must be an array of integers of at least 0`);
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (size !== data.length) fail('ERR_SHAPE', `shape [${shape.join(', ')}] holds ${size} values; data has ${data.length}`);
  const tuple = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  const dictionary = `{'descr': '<f4', 'fortran_order': False, 'shape': ${tuple}, }`;
  // NumPy aligns the data to 64 bytes; the header ends in a newline.
  const length = Math.ceil((10 + dictionary.length + 1) / 64) * 64;
  const header = Buffer.alloc(length, ' ');
  header.set(magic);
  header.set([1, 0], 6);
  header.writeUInt16LE(length - 10, 8);
  header.write(dictionary, 10, 'latin1');
  header[length - 1] = 0x0a;
  await writeAtomically(path, async (write) => {
    await write(header);
    await write(data);
  });
}
