// Reads what the audit needs of a thin 64-bit Mach-O file.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const commands = { symbolTable: 0x2, dylib: 0xc, weakDylib: 0x18, signature: 0x1d, reexport: 0x1f, dyldInfo: 0x22, buildVersion: 0x32, exportTrie: 0x33 };
const types = { 2: 'executable', 6: 'dylib', 8: 'bundle' };
const cpus = { 16777228: 'arm64', 16777223: 'x86_64' };
const version = (value) => `${value >>> 16}.${(value >>> 8) & 255}`;

const text = (bytes, at) => bytes.toString('latin1', at, bytes.indexOf(0, at));

/** Undefined external symbols: `{ name, ordinal, weak }`, the ordinal being that of the library, 254 for dynamic lookup. */
function imports(bytes, at) {
  const [symbols, count, strings] = [8, 12, 16].map((offset) => bytes.readUInt32LE(at + offset));
  const found = [];
  for (let i = 0; i < count; i++) {
    const entry = symbols + i * 16;
    const type = bytes[entry + 4];
    const debugging = (type & 0xe0) !== 0;
    const external = (type & 1) !== 0;
    const defined = (type & 0xe) !== 0;
    if (debugging || !external || defined) continue;
    const description = bytes.readUInt16LE(entry + 6);
    found.push({ name: text(bytes, strings + bytes.readUInt32LE(entry)), ordinal: description >>> 8, weak: (description & 0x40) !== 0 });
  }
  return found;
}

/** Names in the export trie, which is what dlsym sees. */
function exportsOf(trie) {
  const names = [];
  const visit = (node, prefix) => {
    let at = node;
    const number = () => {
      let value = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = trie[at++];
        value += (byte & 127) * 2 ** shift;
        if (byte < 128) return value;
      }
    };
    const size = number();
    if (size > 0) names.push(prefix);
    at += size;
    for (let children = trie[at++]; children > 0; children--) {
      const edge = text(trie, at);
      at += edge.length + 1;
      visit(number(), prefix + edge);
    }
  };
  if (trie.length > 0) visit(0, '');
  return names;
}

/** The embedded signature: whether it is ad hoc, ends the file, and how many of its page hashes are wrong. */
function signatureOf(bytes, at) {
  if (bytes.readUInt32BE(at) !== 0xfade0cc0) return undefined;
  for (let i = 0; i < bytes.readUInt32BE(at + 8); i++) {
    const directory = at + bytes.readUInt32BE(at + 16 + i * 8);
    if (bytes.readUInt32BE(directory) !== 0xfade0c02) continue;
    const adHoc = (bytes.readUInt32BE(directory + 12) & 2) !== 0;
    const hashes = directory + bytes.readUInt32BE(directory + 16);
    const pages = bytes.readUInt32BE(directory + 28);
    const limit = bytes.readUInt32BE(directory + 32);
    const size = bytes[directory + 36];
    const page = 1 << bytes[directory + 39];
    let wrong = 0;
    for (let p = 0; p < pages; p++) {
      const hash = createHash('sha256')
        .update(bytes.subarray(p * page, Math.min(limit, (p + 1) * page)))
        .digest();
      if (!hash.equals(bytes.subarray(hashes + p * size, hashes + (p + 1) * size))) wrong++;
    }
    return { adHoc, pages, wrong, coversAll: limit === at && pages === Math.ceil(limit / page) };
  }
  return undefined;
}

/** `{ arch, type, libraries, imports, exports, minimum, sdk, platform, signature }`; throws where it is no 64-bit Mach-O. */
export function readMachO(file) {
  const bytes = readFileSync(file);
  if (bytes.length < 32 || bytes.readUInt32LE(0) !== 0xfeedfacf) throw new Error(`${file} is not a thin 64-bit Mach-O file`);
  const result = { arch: cpus[bytes.readUInt32LE(4)], type: types[bytes.readUInt32LE(12)], libraries: [], imports: [], exports: [] };
  let at = 32;
  for (let i = 0; i < bytes.readUInt32LE(16); i++) {
    const command = bytes.readUInt32LE(at) & 0x7fffffff;
    const word = (offset) => bytes.readUInt32LE(at + offset);
    const { dylib, weakDylib, reexport } = commands;
    if (command === commands.buildVersion) Object.assign(result, { platform: word(8), minimum: version(word(12)), sdk: version(word(16)) });
    if (command === dylib || command === weakDylib || command === reexport) result.libraries.push(text(bytes, at + word(8)));
    if (command === commands.symbolTable) result.imports = imports(bytes, at);
    if (command === commands.exportTrie) result.exports = exportsOf(bytes.subarray(word(8), word(8) + word(12)));
    if (command === commands.dyldInfo) result.exports = exportsOf(bytes.subarray(word(40), word(40) + word(44)));
    if (command === commands.signature) result.signature = signatureOf(bytes, word(8));
    at += word(4);
  }
  return result;
}
