import { describe, fail } from '../../errors.js';
import { PickleFunction, type PickleWorld } from './pickle.js';
import { Refusal } from './refusal.js';
import { dtypeNames, StorageClass, storageDtypes, TorchDtype, type TorchStorages, TorchTensor } from './storage.js';

type Call = (args: readonly unknown[]) => unknown;

/** Classes that `_rebuild_from_type_v2` may name: what it makes is a tensor either way. */
const tensorTypes = new Set(['torch.Tensor', 'torch.nn.parameter.Parameter']);

/** A class that may be named and is not called. */
class TypeName {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

function named(names: readonly string[], call: Call): Record<string, Call> {
  return Object.fromEntries(names.map((name) => [name, call]));
}

const calls: Readonly<Record<string, Call>> = {
  'collections.OrderedDict': ([pairs = [], ...rest]) => {
    if (!Array.isArray(pairs) || rest.length > 0 || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2))
      throw new Refusal(`makes an OrderedDict of ${describe(pairs)}`);
    return new Map(pairs as [unknown, unknown][]);
  },
  ...named(['builtins.set', '__builtin__.set', 'builtins.frozenset', '__builtin__.frozenset'], ([items = []]) => {
    if (!Array.isArray(items)) throw new Refusal(`makes a set of ${describe(items)}`);
    return new Set(items);
  }),
  // Protocol 2 makes empty bytes by a call, others by their encoding.
  ...named(['builtins.bytes', '__builtin__.bytes'], (args) => {
    if (args.length > 0) throw new Refusal(`makes bytes of ${describe(args[0])}`);
    return new Uint8Array(0);
  }),
  'torch.Size': ([sizes = [], ...rest]) => {
    if (!Array.isArray(sizes) || rest.length > 0) throw new Refusal(`makes a torch.Size of ${describe(sizes)}`);
    return Object.freeze([...sizes]);
  },
  'torch.device': ([type, index, ...rest]) => {
    if (typeof type !== 'string' || !(index === undefined || typeof index === 'number') || rest.length > 0)
      throw new Refusal(`makes a torch.device of ${describe(type)}`);
    return index === undefined ? type : `${type}:${index}`;
  },
  '_codecs.encode': ([text, encoding]) => {
    if (typeof text !== 'string' || encoding !== 'latin1') throw new Refusal(`encodes ${describe(text)} as ${describe(encoding)}`);
    return Uint8Array.from(Buffer.from(text, 'latin1'));
  },
  'torch._utils._rebuild_tensor': ([storage, start, shape, strides]) => new TorchTensor(storage, null, start, shape, strides),
  'torch._utils._rebuild_tensor_v2': ([storage, start, shape, strides]) => new TorchTensor(storage, null, start, shape, strides),
  'torch._utils._rebuild_tensor_v3': ([storage, start, shape, strides, , , dtype]) => {
    if (!(dtype instanceof TorchDtype)) throw new Refusal(`makes a tensor of dtype ${describe(dtype)}`);
    return new TorchTensor(storage, dtype.stored, start, shape, strides);
  },
  'torch._utils._rebuild_parameter': ([data]) => tensor(data),
  'torch._utils._rebuild_parameter_with_state': ([data]) => tensor(data),
  // A tensor with attributes: they are left out.
  'torch._tensor._rebuild_from_type_v2': ([rebuild, type, args]) => {
    if (!(rebuild instanceof PickleFunction && type instanceof TypeName && tensorTypes.has(type.name) && Array.isArray(args)))
      throw new Refusal(`makes a tensor by ${describe(rebuild)}`);
    return tensor(rebuild.call(args));
  },
};

const functions = new Map(Object.entries(calls).map(([name, call]) => [name, new PickleFunction(name, call)]));
const values = new Map<string, unknown>([
  ...Object.entries(storageDtypes).map(([name, dtype]): [string, unknown] => [`torch.${name}`, new StorageClass(dtype)]),
  ['torch.storage.UntypedStorage', new StorageClass(null)],
  ...Object.entries(dtypeNames).map(([name, stored]): [string, unknown] => [`torch.${name}`, new TorchDtype(`torch.${name}`, stored)]),
  ...[...tensorTypes].map((name): [string, unknown] => [name, new TypeName(name)]),
]);

function tensor(value: unknown): TorchTensor {
  if (value instanceof TorchTensor) return value;
  throw new Refusal(`makes a parameter of ${describe(value)}, which is no tensor`);
}

/** What the pickle of a checkpoint may name. Any other global is an ERR_FORMAT that gives its name; nothing of it is looked up or run. */
export function torchWorld(storages: TorchStorages, what: string): PickleWorld {
  return {
    global(module, name) {
      const full = `${module}.${name}`;
      const known = functions.get(full) ?? values.get(full);
      if (known !== undefined) return known;
      return fail(
        'ERR_FORMAT',
        `${what}: names ${describe(full)}, which is refused: only tensors, parameters, dictionaries, lists, tuples, numbers and text are read, and no code of a file is ever run; save it again as a plain state dict`,
      );
    },
    persistent: (id) => storages.persistent(id),
  };
}
