// Faults seeded into the host's side of the Metal backend: each replaces one place that has to occur exactly once.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../scripts/run.mjs';

/** [file without native/metal/, what is wrong, the place, what stands there instead]. */
const faults = [
  // Order within an encoder
  ['command_stream.mm', 'no barrier between dispatches', '[encoder_ memoryBarrierWithScope:MTLBarrierScopeBuffers];', ''],
  ['command_stream.mm', 'a write after a read is not seen', 'return touch.read || touch.written;', 'return touch.written;'],
  ['command_stream.mm', 'a write after a write is not seen', 'return touch.read || touch.written;', 'return touch.read;'],
  [
    'command_stream.mm',
    'a read after a write is not seen',
    'if (use.access == Access::kRead) return touch.written;',
    'if (use.access == Access::kRead) return false;',
  ],
  ['command_stream.mm', "parts of another operation are taken for this one's", 'touch.partOperation == operation_', 'touch.partOperation != 0'],
  ['command_stream.mm', 'only the last use of a dispatch is remembered', 'for (const Use& use : uses) touch(use);', 'touch(uses.back());'],
  // Order between encoders
  ['command_stream.mm', 'an encoder does not wait for the fence', 'if (fencePending()) [encoder_ waitForFence:fence_];', ''],
  ['command_stream.mm', 'an encoder does not update the fence', '[encoder_ updateFence:fence_];', ''],
  ['command_stream.mm', 'a foreign encoder does not wait for earlier work', 'closeOrPass();\n  orderByEvent();', 'closeOrPass();'],
  ['command_stream.mm', 'nothing waits for a foreign encoder', 'encode(buffer_);\n  orderByEvent();', 'encode(buffer_);'],
  ['command_stream.mm', 'the chain of fences breaks at a foreign encoder', 'if (!encoder_) return passFence();', 'if (!encoder_) return;'],
  ['command_stream.mm', 'a passed fence does not wait', 'if (fencePending()) [encoder waitForFence:fence_];', ''],
  ['command_stream.mm', 'an encoder is left open', '[encoder_ endEncoding];', ''],
  // Command buffers and what becomes of them
  ['command_stream.mm', 'a command buffer is never committed', '[buffer_ commit];', ''],
  ['command_stream.mm', 'a command buffer is not counted as in flight', 'flight->add(batch);', ''],
  ['command_stream.mm', 'a failed completion is lost', 'flight->finish(batch, std::move(failure));', 'if (!failure) flight->finish(batch, nullptr);'],
  [
    'command_stream.mm',
    'a failure is taken for success',
    'if (completed.status != MTLCommandBufferStatusCompleted) {',
    'if (completed.status == MTLCommandBufferStatusNotEnqueued) {',
  ],
  ['command_stream.mm', 'a lost device is forgotten', 'if (error.code() == core::Code::kDeviceLost) batch->device->lose(error);', ''],
  ['command_stream.mm', 'objects of a foreign encoder are released too early', 'if (batch_) batch_->kept.push_back(object);', 'static_cast<void>(object);'],
  ['command_stream.mm', 'memory does not know its last use', 'use.buffer->lastUse = batch_->fate->serial;', 'use.buffer->lastUse = 0;'],
  ['command_stream.mm', 'bound bytes are not counted', 'bytes_ += bytes;', 'static_cast<void>(bytes);'],
  ['command_stream.mm', 'command buffers in flight have no limit', 'flight_->waitBelow(static_cast<size_t>(overrides().maxInFlight));', ''],
  ['command_stream.mm', 'results do not derive from their inputs', 'if (use.access == Access::kRead) inputs.push_back(use.buffer);', ''],
  ['flight.mm', 'completion is told one command buffer too early', 'timeline_->complete(fate.serial);', 'timeline_->complete(fate.serial + 1);'],
  ['flight.mm', 'answers to reads are lost', 'for (const Batch::Read& read : reads) answer(read, nullptr);', ''],
  ['flight.mm', 'failures of inputs do not reach results', 'for (const FatePtr& fate : input->fates) depend(fate);', ''],
  ['flight.mm', 'a fence waits for the oldest work only', 'batches_.back()->fences.push_back', 'batches_.front()->fences.push_back'],
  [
    'flight.mm',
    'one completion retires one command buffer at most',
    'while (!batches_.empty() && batches_.front()->finished) {',
    'if (!batches_.empty() && batches_.front()->finished) {',
  ],
  ['flight.mm', 'what failed is not told to what depends on it', 'if (const core::StoragePtr storage = dependant.lock()) storage->fail(batch->failure);', ''],
  [
    'flight.mm',
    'a read does not commit the open command buffer',
    'open->reads.push_back(std::move(read));\n      return true;',
    'open->reads.push_back(std::move(read));\n      return false;',
  ],
  ['flight.mm', 'a failure is told twice', 'failures_.clear();', ''],
  ['flight.mm', 'a read goes to the wrong command buffer', 'if (batch->fate->serial != last) continue;', ''],
  ['metal_backend.mm', 'a queue does not wait for its work when it goes', 'stream_.close();', 'stream_.commit();'],
  // Memory
  ['allocator.mm', 'memory is reused while work still uses it', 'if (!(mine && entry->timeline.get() == mine) && !entry->idle()) continue;', ''],
  ['allocator.mm', 'uploads write memory that work still uses', 'current && !current->host_ ?', 'current ?'],
  ['allocator.mm', 'smaller memory is handed out', 'bySize_.lower_bound(bytes)', 'bySize_.lower_bound(bytes / 2)'],
  ['allocator.mm', 'size classes round down', 'return (bytes + step - 1) / step * step;', 'return bytes / step * step;'],
  ['allocator.mm', 'trim releases memory in use', 'if (entry->idle()) {\n        entry = forget', 'if (entry->bytes) {\n        entry = forget'],
  ['allocator.mm', 'what trim left is never released', 'if (!entry->discard) ++discarded_;', ''],
  ['allocator.mm', 'the cache is not counted', 'cached_ += bytes;', 'static_cast<void>(bytes);'],
  ['allocator.mm', 'a full device does not wait for its own work', 'current->stream_.drain();', ''],
  ['allocator.mm', 'memory is not made resident', '[set addAllocation:handle];', ''],
  ['allocator.mm', 'queues do not know the resident memory', 'if (residency_) [queue addResidencySet:(id<MTLResidencySet>)residency_];', ''],
  // One dispatch
  [
    'encoder.mm',
    'buffers are bound at an offset',
    '[encoder setBuffer:handle offset:0 atIndex:bound.index];',
    '[encoder setBuffer:handle offset:16 atIndex:bound.index];',
  ],
  ['encoder.mm', 'neighbouring bindings are swapped', 'offset:0 atIndex:bound.index];', 'offset:0 atIndex:bound.index ^ 1];'],
  ['encoder.mm', 'absent arguments are not bound', 'for (const uint32_t index : absent_)', 'for (const uint32_t index : std::vector<uint32_t>{})'],
  [
    'encoder.mm',
    'memory reached through a table is not declared',
    '[encoder useResource:handle usage:bound.access == Access::kRead ? MTLResourceUsageRead : MTLResourceUsageWrite];',
    '',
  ],
  ['encoder.mm', 'half the threadgroup memory', 'setThreadgroupMemoryLength:length atIndex', 'setThreadgroupMemoryLength:(length / 2 + 15) / 16 * 16 atIndex'],
  ['encoder.mm', 'threadgroup memory is not a multiple of 16', '(size + 15) / 16 * 16', 'size'],
  ['encoder.mm', 'arguments are cut short', 'length:bytes.data.size() atIndex', 'length:bytes.data.size() - 4 atIndex'],
  [
    'encoder.mm',
    'columns and rows of threadgroups are swapped',
    '[encoder dispatchThreadgroups:size threads',
    '[encoder dispatchThreadgroups:MTLSizeMake(size.height, size.width, size.depth) threads',
  ],
  ['pipelines.mm', 'variants share a pipeline', 'library + "/" + function + " " + constants.key()', 'library + "/" + function'],
  ['pipelines.mm', 'fast math on macOS 15', 'options.mathMode = MTLMathModeSafe;', 'options.mathMode = MTLMathModeFast;'],
  ['pipelines.mm', 'fast math before macOS 15', 'options.fastMathEnabled = NO;', 'options.fastMathEnabled = YES;'],
  ['errors.mm', 'out of memory is told as another failure', 'return {core::Code::kMemory, "the GPU ran', 'return {core::Code::kExecution, "the GPU ran'],
  [
    'errors.mm',
    'a revoked GPU is told as a passing failure',
    'return {core::Code::kDeviceLost, "the system took',
    'return {core::Code::kExecution, "the system took',
  ],
  // Operations
  ['activation.mm', 'snake has no alpha', '.input(3, op.activation.alpha)', '.input(3, {})'],
  ['arithmetic.mm', 'operands are swapped', '.input(0, a)\n      .input(1, b)', '.input(0, b)\n      .input(1, a)'],
  ['arithmetic.mm', 'a broadcast axis has a stride', 'operand[axis] == 1 ? 0 :', 'operand[axis] == 0 ? 0 :'],
  [
    'cast.mm',
    'dtypes of the variant are swapped',
    'kernelName(kernelName("cast", op.x.dtype), op.y.dtype)',
    'kernelName(kernelName("cast", op.y.dtype), op.x.dtype)',
  ],
  ['concat.mm', 'parts start at the same place', 'start += columns;', ''],
  ['conv.mm', 'bias and scale are swapped', '.input(2, op.bias)\n      .input(3, op.scale)', '.input(3, op.bias)\n      .input(2, op.scale)'],
  ['conv.mm', 'the residual is left out', '.set(4, static_cast<bool>(op.residual))', '.set(4, false)'],
  ['conv.mm', 'padding and dilation are swapped', 'op.dilation[i], op.padBegin[i]', 'op.padBegin[i], op.dilation[i]'],
  [
    'conv.mm',
    'the last tile of positions is left out',
    'MTLSizeMake(static_cast<NSUInteger>(ceilDiv(positions, columns))',
    'MTLSizeMake(static_cast<NSUInteger>(std::max<int64_t>(1, positions / columns))',
  ],
  [
    'conv.mm',
    'rows and columns of the tile are swapped',
    'std::to_string(rows) + "x" + std::to_string(columns)',
    'std::to_string(columns) + "x" + std::to_string(rows)',
  ],
  ['conv.mm', 'the dtype of the bias is that of the input', 'static_cast<uint32_t>(op.bias.dtype)', 'static_cast<uint32_t>(op.x.dtype)'],
  ['copy_rows.mm', 'units are wider than rows are aligned', 'if (copy.rows > 1) together |= copy.fromStride | copy.toStride;', ''],
  ['interpolate.mm', 'elements of the wrong size', 'std::to_string(core::sizeOf(op.x.dtype))', 'std::to_string(6 - core::sizeOf(op.x.dtype))'],
  ['linear.mm', 'half the scratch memory', 'encoder.memory(op.y.bytes())', 'encoder.memory(op.y.bytes() / 2)'],
  ['linear.mm', 'the dtype of the bias is that of the input', 'static_cast<uint32_t>(op.bias.dtype)', 'static_cast<uint32_t>(op.x.dtype)'],
  ['matmul.mm', 'rows of b are taken for aligned', 'params.alignedB = N % 4 == 0;', 'params.alignedB = K % 4 == 0;'],
  ['matmul.mm', "b's batches have a's strides", 'batchStrides(b, params.batchStrideB);', 'batchStrides(a, params.batchStrideB);'],
  ['mps.mm', 'rows are as long as columns', 'static_cast<NSUInteger>(columns) * sizeof(float)', 'static_cast<NSUInteger>(rows) * sizeof(float)'],
  ['mps.mm', 'the right matrix is transposed when it should not be', 'transposeRight:transposeB', 'transposeRight:!transposeB'],
  ['narrow.mm', 'the start counts elements instead of rows', 'static_cast<uint64_t>(op.start) * inner', 'static_cast<uint64_t>(op.start)'],
  ['norm_plan.cc', 'half the board', 'std::max<int64_t>(1, depth / 2) * 8', 'std::max<int64_t>(1, depth / 2) * 4'],
  ['norm_plan.cc', 'the last strip is left out', 'const int64_t across = ceilDiv(columns, strip);', 'const int64_t across = columns / strip;'],
  ['pad.mm', 'one too many before the first', 'length, op.left, padded}', 'length, op.left + 1, padded}'],
  ['reduce.mm', 'half the scratch memory', '2 * sizeof(float)', 'sizeof(float)'],
  ['reduce.mm', 'partial sums are bound as if nobody wrote them', 'dispatch.bind(2, *pairs, Access::kWrite)', 'dispatch.bind(2, *pairs, Access::kRead)'],
  ['norm_plan.cc', 'weights start at the same threadgroup', 'first = static_cast<uint32_t>(plan.groups)', 'first = 0'],
  ['scale.mm', 'scales are declared as read', 'uses(segment->scale, Access::kWrite)', 'uses(segment->scale, Access::kRead)'],
  ['stream.mm', 'what is copied starts at its first step', 'p.fromStart = number(step.conv.xRows.start);', ''],
  ['stream.mm', 'all that is kept goes to the same place', 'number(op.kept), number(step.keepAt)', 'number(op.kept), 0'],
  ['stream.mm', 'the state before is not bound', '.input(1, step.head > 0 ? op.before : core::Tensor{})', '.input(1, {})'],
  ['conv.mm', 'nobody takes the head of a value', 'phases + (part.head > 0 ? 1 : 0)', 'phases'],
  ['transpose.mm', "the stride in y is x's", 'params.downStride = axes.second[i];', 'params.downStride = axes.first[i];'],
  ['norm_encode.mm', 'half the scratch memory', 'encoder.memory(plan.partialBytes)', 'encoder.memory(plan.partialBytes / 2)'],
  ['norm_encode.mm', 'partial sums are bound as if nobody wrote them', 'summed ? Access::kRead : Access::kWrite', 'Access::kRead'],
  ['weight_norm_backward.mm', 'the gains are those of the gradient', 'return op.g;', 'return op.gradG;'],
];

export function hostMutants() {
  return faults.map(([name, change, find, replacement]) => {
    const file = `native/metal/${name}`;
    const source = readFileSync(path.join(root, file), 'utf8');
    const at = source.indexOf(find);
    if (at < 0 || source.indexOf(find, at + 1) >= 0)
      throw new Error(`${file}: the place of the fault '${change}' occurs ${at < 0 ? 'nowhere' : 'twice'}: ${find}`);
    return {
      kind: 'host',
      file,
      operator: 'seeded fault',
      function: '',
      text: find.replace(/\s+/g, ' '),
      change,
      nth: 1,
      line: source.slice(0, at).split('\n').length,
      mutated: source.slice(0, at) + replacement + source.slice(at + find.length),
    };
  });
}
