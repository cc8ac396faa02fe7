#include <condition_variable>
#include <cstring>
#include <mutex>

#include "addon/arguments.h"
#include "addon/data.h"
#include "addon/operations.h"

namespace weightnorm::addon {

namespace {

// A tensor whose values fill(std::byte*) writes: where they stay if the device's memory can be written at once, else into a
// copy that the queue uploads.
template <class Fill>
core::Tensor filledBy(EnvQueue& queue, const core::Shape& shape, core::DType dtype, const Fill& fill) {
  core::Queue& target = live(queue);
  core::Tensor y = core::makeTensor(target.sharedDevice(), shape, dtype);
  if (std::byte* const memory = target.device().hostMemory(*y.storage)) {
    fill(memory);
    return y;
  }
  const std::shared_ptr<std::byte[]> bytes = core::hostBytes(y.bytes());
  fill(bytes.get());
  target.submit(core::UploadOp{y, bytes});
  return y;
}

core::Tensor uploaded(EnvQueue& queue, const core::Shape& shape, core::DType dtype, Napi::Value data, bool bits) {
  return filledBy(queue, shape, dtype, [&](std::byte* to) { convert(data, shape.size(), dtype, bits, to); });
}

// upload(queue, data, shape, dtype, bits)
Napi::Value upload(const Napi::CallbackInfo& info) {
  const auto queue = queueOf(info[0]);
  const core::Shape shape = shapeOf(info[2]);
  return makeHandle(info.Env(), uploaded(*queue, shape, dtypeOf(info[3]), info[1], info[4].ToBoolean()), queue);
}

// fill(queue, shape, dtype, value)
Napi::Value fill(const Napi::CallbackInfo& info) {
  const auto queue = queueOf(info[0]);
  core::FillOp op;
  op.value = info[3].ToNumber().FloatValue();
  op.y = core::makeTensor(live(*queue).sharedDevice(), shapeOf(info[1]), dtypeOf(info[2]));
  return submit(info.Env(), queue, std::move(op), &core::FillOp::y);
}

// randn(queue, shape, dtype, seed, std)
Napi::Value normal(const Napi::CallbackInfo& info) {
  const auto queue = queueOf(info[0]);
  const core::Shape shape = shapeOf(info[1]);
  const core::DType dtype = dtypeOf(info[2]);
  const auto seed = static_cast<uint64_t>(integerOf(info[3]));
  const double std = info[4].ToNumber().DoubleValue();
  const auto fill = [&](std::byte* to) { randn(shape.size(), dtype, seed, std, to); };
  return makeHandle(info.Env(), filledBy(*queue, shape, dtype, fill), queue);
}

// write(tensor, data, bits)
Napi::Value write(const Napi::CallbackInfo& info) {
  TensorHandle& handle = handleOf(info[0]);
  const core::Tensor& old = handle.tensor;
  handle.tensor = uploaded(*handle.queue, old.shape, old.dtype, info[1], info[2].ToBoolean());
  account(info.Env(), handle);
  return info.Env().Undefined();
}

Napi::Value shape(const Napi::CallbackInfo& info) {
  const core::Shape& dims = handleOf(info[0]).tensor.shape;
  Napi::Array result = Napi::Array::New(info.Env(), static_cast<size_t>(dims.rank()));
  for (int i = 0; i < dims.rank(); ++i) result.Set(static_cast<uint32_t>(i), static_cast<double>(dims[i]));
  return result;
}

Napi::Value dtype(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<int>(handleOf(info[0]).tensor.dtype));
}

Napi::Value dispose(const Napi::CallbackInfo& info) {
  disposeHandle(info[0]);
  return info.Env().Undefined();
}

Napi::Value failed(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), handleOf(info[0]).tensor.storage->failure() != nullptr);
}

// The tensor itself, or a queued float32 copy of a half tensor.
core::Tensor readable(core::Queue& queue, const core::Tensor& tensor, bool asFloat) {
  if (!asFloat || tensor.dtype == core::DType::kFloat32) return tensor;
  core::CastOp op;
  op.x = tensor;
  core::prepare(op, core::DType::kFloat32);
  core::Tensor result = op.y;
  queue.submit(std::move(op));
  return result;
}

Napi::ArrayBuffer newBuffer(Napi::Env env, const core::Tensor& tensor) {
  if (tensor.bytes() > (uint64_t{1} << 33) - 1) {
    throw core::Error(core::Code::kMemory, core::format("a read of %llu bytes does not fit one ArrayBuffer; read it in parts with narrow()",
                                                        static_cast<unsigned long long>(tensor.bytes())));
  }
  napi_value buffer;
  void* data = nullptr;
  if (napi_create_arraybuffer(env, tensor.bytes(), &data, &buffer) != napi_ok) {
    napi_value ignored;
    napi_get_and_clear_last_exception(env, &ignored);
    throw core::Error(core::Code::kMemory,
                      core::format("there is no memory for a read of %llu bytes", static_cast<unsigned long long>(tensor.bytes())));
  }
  return Napi::ArrayBuffer(env, buffer);
}

// read(tensor, asFloat)
Napi::Value read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const TensorHandle& handle = handleOf(info[0]);
  core::Queue& queue = live(*handle.queue);
  const core::Tensor source = readable(queue, handle.tensor, info[1].ToBoolean());
  const auto completions = Environment::of(env).completions();
  const auto pending = completions->begin(env, newBuffer(env, source));
  try {
    queue.read(source, [completions, pending](const void* data, core::FailurePtr failure) {
      completions->settle(pending, data, std::move(failure));
    });
  } catch (...) {
    completions->abandon(pending);
    throw;
  }
  return Completions::promise(*pending);
}

// readSync(tensor, asFloat)
Napi::Value readSync(const Napi::CallbackInfo& info) {
  const TensorHandle& handle = handleOf(info[0]);
  core::Queue& queue = live(*handle.queue);
  const core::Tensor source = readable(queue, handle.tensor, info[1].ToBoolean());
  Napi::ArrayBuffer buffer = newBuffer(info.Env(), source);
  void* const destination = buffer.Data();
  std::mutex mutex;
  std::condition_variable settled;
  bool done = false;
  core::FailurePtr failure;
  queue.read(source, [&](const void* data, core::FailurePtr late) {
    std::lock_guard lock(mutex);
    if (data) std::memcpy(destination, data, source.bytes());
    failure = std::move(late);
    done = true;
    settled.notify_one();
  });
  std::unique_lock lock(mutex);
  settled.wait(lock, [&] { return done; });
  if (failure) throw failure->error;
  return buffer;
}

// transfer(tensor, targetQueue)
Napi::Value transfer(const Napi::CallbackInfo& info) {
  const TensorHandle& handle = handleOf(info[0]);
  const auto target = queueOf(info[1]);
  core::Queue& queue = live(*target);
  core::Tensor copy = core::makeTensor(queue.sharedDevice(), handle.tensor.shape, handle.tensor.dtype);
  queue.receive(handle.tensor, live(*handle.queue), copy);
  return makeHandle(info.Env(), std::move(copy), target);
}

// view(tensor, shape)
Napi::Value view(const Napi::CallbackInfo& info) {
  const TensorHandle& handle = handleOf(info[0]);
  core::Tensor result = handle.tensor;
  result.shape = shapeOf(info[1]);
  if (result.shape.size() != handle.tensor.size()) throw core::Error(core::Code::kShape, "a view must hold as many elements");
  return makeHandle(info.Env(), std::move(result), handle.queue);
}

}  // namespace

void registerTensors(Napi::Object exports) {
  expose<upload>(exports, "upload");
  expose<fill>(exports, "fill");
  expose<normal>(exports, "randn");
  expose<write>(exports, "write");
  expose<shape>(exports, "shape");
  expose<dtype>(exports, "dtype");
  expose<dispose>(exports, "dispose");
  expose<failed>(exports, "failed");
  expose<read>(exports, "read");
  expose<readSync>(exports, "readSync");
  expose<transfer>(exports, "transfer");
  expose<view>(exports, "view");
}

}  // namespace weightnorm::addon
