import { closeSync, openSync, readSync } from 'node:fs';

/** What the header of an executable or a library says. */
export interface BinaryHeader {
  platform: 'linux' | 'darwin';
  /** Node's name of the processor architecture; that of a universal Mach-O file lists all, joined by +. */
  arch: string;
  /** The dynamic loader of an ELF executable, such as /lib/ld-musl-x86_64.so.1. */
  interpreter?: string;
}

const elfMachines: Readonly<Record<number, string>> = { 3: 'ia32', 40: 'arm', 62: 'x64', 183: 'arm64', 243: 'riscv64' };
const machProcessors: Readonly<Record<number, string>> = { 16777223: 'x64', 16777228: 'arm64' };
const enough = 4096;

/** Reads the header of an ELF or Mach-O file; undefined where it is neither or cannot be read. */
export function readBinaryHeader(file: string): BinaryHeader | undefined {
  const bytes = new DataView(new ArrayBuffer(enough));
  let length: number;
  try {
    const descriptor = openSync(file, 'r');
    try {
      length = readSync(descriptor, bytes, 0, enough, 0);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return undefined;
  }
  if (length < 64) return undefined;
  const magic = bytes.getUint32(0);
  if (magic === 0x7f454c46) return elf(bytes, length);
  if (magic === 0xcffaedfe) return { platform: 'darwin', arch: machName(bytes.getUint32(4, true)) };
  if (magic === 0xcafebabe) {
    const count = Math.min(bytes.getUint32(4), 8);
    const names = Array.from({ length: count }, (_, i) => machName(bytes.getUint32(8 + 20 * i)));
    return { platform: 'darwin', arch: names.join('+') };
  }
  return undefined;
}

const machName = (type: number): string => machProcessors[type] ?? `processor type 0x${type.toString(16)}`;

function elf(bytes: DataView, length: number): BinaryHeader {
  const wide = bytes.getUint8(4) === 2;
  const little = bytes.getUint8(5) === 1;
  const machine = bytes.getUint16(18, little);
  const header: BinaryHeader = { platform: 'linux', arch: elfMachines[machine] ?? `machine 0x${machine.toString(16)}` };
  if (!wide) return header;
  const table = Number(bytes.getBigUint64(32, little));
  const size = bytes.getUint16(54, little);
  const count = bytes.getUint16(56, little);
  for (let i = 0; i < count && table + (i + 1) * size <= length; i++) {
    const entry = table + i * size;
    const programInterpreter = 3;
    if (bytes.getUint32(entry, little) !== programInterpreter) continue;
    const start = Number(bytes.getBigUint64(entry + 8, little));
    const end = start + Number(bytes.getBigUint64(entry + 32, little)) - 1;
    if (end <= length) header.interpreter = Buffer.from(bytes.buffer, start, end - start).toString();
  }
  return header;
}
