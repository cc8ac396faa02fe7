// Writes ONNX models: the protocol buffer messages of onnx.proto that a graph of float32 tensors needs, and no more.

/** Bytes of a base-128 integer; negative ones as 64-bit two's complement. */
function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}

const integer = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
const text = (field, value) => bytes(field, Buffer.from(value));
const message = (field, parts) => bytes(field, Buffer.concat(parts));

function float(field, value) {
  const raw = Buffer.alloc(4);
  raw.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), raw]);
}

// AttributeProto: name 1, f 2, i 3, ints 8, type 20 (FLOAT 1, INT 2, INTS 7).
function attribute(name, value) {
  if (Array.isArray(value)) return message(5, [text(1, name), ...value.map((item) => integer(8, item)), integer(20, 7)]);
  if (typeof value === 'object') return message(5, [text(1, name), float(2, value.float), integer(20, 1)]);
  return message(5, [text(1, name), integer(3, value), integer(20, 2)]);
}

// TensorProto: dims 1, data_type 2 (FLOAT 1, INT64 7), name 8, raw_data 9.
function tensor(field, name, shape, data) {
  const type = data instanceof BigInt64Array ? 7 : 1;
  return message(field, [
    ...shape.map((size) => integer(1, size)),
    integer(2, type),
    text(8, name),
    bytes(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

// ValueInfoProto: name 1, type 2 { tensor_type 1 { elem_type 1, shape 2 { dim 1 { dim_value 1 } } } }.
const valueInfo = (field, name, shape) =>
  message(field, [
    text(1, name),
    message(2, [message(1, [integer(1, 1), message(2, shape ? shape.map((size) => message(1, [integer(1, size)])) : [])].slice(0, shape ? 2 : 1))]),
  ]);

/** A graph under construction. Values are named by strings. */
export class Graph {
  #nodes = [];
  #initializers = [];
  #inputs = [];
  #outputs = [];
  #count = 0;

  /** A constant: Float32Array, or BigInt64Array for axes. */
  constant(shape, data) {
    const name = `c${this.#count++}`;
    this.#initializers.push(tensor(5, name, shape, data));
    return name;
  }

  input(name, shape) {
    this.#inputs.push(valueInfo(11, name, shape));
    return name;
  }

  output(name) {
    this.#outputs.push(valueInfo(12, name));
    return name;
  }

  /** One operation with one result. Attributes: integers, arrays of integers, or { float }. */
  node(type, inputs, attributes = {}) {
    const name = `t${this.#count++}`;
    const fields = Object.entries(attributes).map(([key, value]) => attribute(key, value));
    // NodeProto: input 1, output 2, op_type 4, attribute 5.
    this.#nodes.push(message(1, [...inputs.map((value) => text(1, value)), text(2, name), text(4, type), ...fields]));
    return name;
  }

  /** The model's file, operator set 17: ModelProto { ir_version 1, graph 7, opset_import 8 { domain 1, version 2 } }. */
  model() {
    const graph = [...this.#nodes, text(2, 'graph'), ...this.#initializers, ...this.#inputs, ...this.#outputs];
    return Buffer.concat([integer(1, 8), message(7, graph), message(8, [text(1, ''), integer(2, 17)])]);
  }
}
