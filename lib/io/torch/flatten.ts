import { describe, fail } from '../../errors.js';
import { TorchDtype, TorchTensor } from './storage.js';

/** A number, a text, or another value without parts; lists of them are values, too. */
export type TorchScalar = string | number | bigint | boolean | null | Uint8Array;
export type TorchValue = TorchScalar | readonly TorchScalar[];

/** What a checkpoint holds, by dotted names. */
export interface Flattened {
  tensors: Map<string, TorchTensor>;
  values: Map<string, TorchValue>;
}

const deepest = 100;
const largest = 1 << 18;
const longestLists = 1 << 22;
const longestName = 4096;

/** Names everything in a nested checkpoint as torch's state dicts do: keys and indices joined with '.'. A checkpoint that is one tensor is called 'tensor'. */
export function flatten(root: unknown, what: string): Flattened {
  const tensors = new Map<string, TorchTensor>();
  const values = new Map<string, TorchValue>();
  let visited = 0;
  let listed = 0;
  const bad = (message: string): never => fail('ERR_FORMAT', `${what}: ${message}`);
  const put = <T>(into: Map<string, T>, name: string, value: T): void => {
    if (tensors.has(name) || values.has(name)) bad(`has two values of the name ${describe(name)}`);
    into.set(name, value);
  };
  const visit = (value: unknown, name: string, depth: number): void => {
    // Values may be shared: a few bytes can describe more than fits any memory.
    if (++visited > largest) bad(`holds more than ${largest} values when it is spread out`);
    if (name.length > longestName) bad(`has a name of ${name.length} characters; at most ${longestName} are allowed`);
    if (depth > deepest) bad(`is nested deeper than ${deepest} levels, at ${describe(name)}`);
    if (value instanceof TorchTensor) {
      put(tensors, name === '' ? 'tensor' : name, value);
      return;
    }
    if (value instanceof Map) {
      for (const [key, item] of value) visit(item, name === '' ? keyText(key) : `${name}.${keyText(key)}`, depth + 1);
      return;
    }
    if (Array.isArray(value) || value instanceof Set) {
      listed += Array.isArray(value) ? value.length : value.size;
      if (listed > longestLists) bad(`holds lists of more than ${longestLists} items when it is spread out`);
      const items = [...value];
      if (items.every(isScalar)) {
        const scalars = items.map((item) => scalarOf(item, name, bad));
        put(values, name, scalars);
      } else {
        items.forEach((item, i) => visit(item, name === '' ? String(i) : `${name}.${i}`, depth + 1));
      }
      return;
    }
    put(values, name, scalarOf(value, name, bad));
  };
  visit(root, '', 0);
  return { tensors, values };
}

function isScalar(value: unknown): boolean {
  return value === null || typeof value !== 'object' || value instanceof Uint8Array || value instanceof TorchDtype;
}

function scalarOf(value: unknown, name: string, bad: (message: string) => never): TorchScalar {
  if (value instanceof TorchDtype) return value.name;
  if (value === null || ['string', 'number', 'bigint', 'boolean'].includes(typeof value) || value instanceof Uint8Array) return value as TorchScalar;
  return bad(`${describe(name)} is ${describe(value)}, which is no tensor, number or text`);
}

/** A dictionary's key as part of a name; tuples of plain values as Python prints them. */
function keyText(key: unknown): string {
  if (Array.isArray(key)) return `(${key.map((item) => (isScalar(item) ? String(item) : '…')).join(', ')})`;
  return key instanceof TorchDtype ? key.name : String(key);
}
