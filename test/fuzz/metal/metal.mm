// Every operation on the Metal backend, under the software Metal, beside the CPU backend: the same bytes make the same
// operation on both, and the results agree. Kernels that do not exist are refused by name.
#include <cmath>
#include <future>
#include <type_traits>

#include "../exact.h"
#include "../operations.h"
#include "cpu/cpu_backend.h"
#include "metal/encoder.h"
#include "metal/metal.h"
#include "metal/metal_device.h"
#include "metal/norm_plan.h"

namespace {

using namespace fuzz;

// One output as its bytes.
struct Result {
  DType dtype;
  Shape shape;
  std::vector<std::byte> bytes;
  double at(size_t i) const {
    float value;
    uint16_t bits;
    if (dtype == DType::kFloat32) {
      std::memcpy(&value, &bytes[4 * i], 4);
      return value;
    }
    std::memcpy(&bits, &bytes[2 * i], 2);
    return dtype == DType::kFloat16 ? core::halfToFloat(bits) : core::bfloatToFloat(bits);
  }
};
using Results = std::vector<Result>;

std::shared_ptr<core::Device> gpu() {
  static const std::shared_ptr<core::Device> device = [] {
    std::string reason;
    auto found = metal::metalDevice(&reason);
    require(found != nullptr, "there is a Metal device: " + reason);
    return found;
  }();
  return device;
}
core::Backend& gpuBackend() {
  static const std::unique_ptr<core::Backend> backend = gpu()->createBackend();
  return *backend;
}

std::vector<std::byte> readGpu(const Tensor& tensor) {
  std::promise<std::vector<std::byte>> promise;
  gpuBackend().read(tensor, [&](const void* data, core::FailurePtr failure) {
    require(!failure, failure ? failure->error.what() : "");
    const auto* first = static_cast<const std::byte*>(data);
    promise.set_value({first, first + tensor.bytes()});
  });
  gpuBackend().flush();
  return promise.get_future().get();
}

bool small(const std::vector<Tensor>& outputs) {
  return std::all_of(outputs.begin(), outputs.end(), [](const Tensor& y) { return y.bytes() <= 1 << 16; });
}

// `exact` is set for operations that only move or round numbers.
std::optional<Results> onCpu(const uint8_t* data, size_t size, bool* exact) {
  static cpu::Pool pool(1, 0);
  static const Place place{std::make_shared<Exact>(), std::make_shared<Exact>(), [](const Tensor& t, Input& input) {
                             if (t.bytes() > kLargest) throw core::Error(core::Code::kMemory, "too much to fuzz");
                             const auto bytes = numbers(t, input);
                             std::memcpy(cpu::dataOf<std::byte>(t), bytes.data(), bytes.size());
                           }};
  Input input(data, size);
  std::optional<Results> results;
  OperationMaker(input, place, true).make([&](const auto& op, const auto&, const std::vector<Tensor>& outputs) {
    using Op = std::decay_t<decltype(op)>;
    *exact = std::is_same_v<Op, core::TransposeOp> || std::is_same_v<Op, core::PadOp> || std::is_same_v<Op, core::NarrowOp> ||
             std::is_same_v<Op, core::ConcatOp> || std::is_same_v<Op, core::InterpolateOp> || std::is_same_v<Op, core::CastOp>;
    if (!small(outputs)) return;
    cpu::CpuBackend(pool).run(op);
    results.emplace();
    for (const Tensor& y : outputs) {
      const auto* first = cpu::dataOf<std::byte>(y);
      results->push_back({y.dtype, y.shape, {first, first + y.bytes()}});
    }
  });
  return results;
}

std::optional<Results> onGpu(const uint8_t* data, size_t size) {
  // The other device only has to be another one: operations that mix two are refused before they run.
  static const Place place{gpu(), std::make_shared<Exact>(), [](const Tensor& t, Input& input) {
                             if (t.bytes() > kLargest) throw core::Error(core::Code::kMemory, "too much to fuzz");
                             const auto bytes = std::make_shared<std::vector<std::byte>>(numbers(t, input));
                             if (&t.storage->device() == gpu().get()) gpuBackend().run(core::UploadOp{t, bytes});
                           }};
  Input input(data, size);
  std::optional<Results> results;
  OperationMaker(input, place, true).make([&](const auto& op, const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
    if (!small(outputs) || &inputs.front().storage->device() != gpu().get()) return;
    gpuBackend().run(op);
    results.emplace();
    for (const Tensor& y : outputs) results->push_back({y.dtype, y.shape, readGpu(y)});
  });
  return results;
}

void agree(const Result& a, const Result& b, bool exact) {
  require(a.dtype == b.dtype && a.shape == b.shape, "both devices give the same shape and dtype");
  if (exact) return require(a.bytes == b.bytes, "both devices move the same bits");
  const double unit = a.dtype == DType::kFloat32 ? 2e-5 : a.dtype == DType::kFloat16 ? 0x1p-8 : 0x1p-5;
  double difference = 0, size = 0;
  for (size_t i = 0; i < static_cast<size_t>(a.shape.size()); ++i) {
    const double p = a.at(i), q = b.at(i);
    // Infinite or not a number on one device: what overflows may do so on one alone, but never against a small number.
    if (!std::isfinite(p) || !std::isfinite(q))
      return require(std::fabs(std::isfinite(p) ? p : std::isfinite(q) ? q : INFINITY) > 1e3, "both devices overflow");
    difference += (p - q) * (p - q);
    size += std::max(p * p, q * q);
  }
  // Results near 0 stand for sums of terms near 1 that cancelled.
  require(std::sqrt(difference) <= unit * std::sqrt(size) + 1e-5 * std::sqrt(static_cast<double>(a.shape.size())),
          "both devices agree: " + std::to_string(std::sqrt(difference / size)));
}

// Launches for shapes of any size, none of which runs.
void plans(Input& input) {
  const Shape shape = input.shape(input.flag(), 1, core::kMaxRank);
  const core::Nest nest(shape, static_cast<uint32_t>(input.within(0, (1 << shape.rank()) - 1)));
  const auto width = static_cast<uint32_t>(int64_t{1} << input.within(0, 3));
  const auto threads = static_cast<uint32_t>(input.within(1, 32) * 32);
  if (const auto columns = metal::columnNest(nest)) {
    require(columns->batches * columns->rows * columns->kept * columns->run == shape.size(), "a column nest holds the shape's elements");
    if (columns->kept * columns->run % width == 0) {
      if (const auto launch = metal::columnLaunch(*columns, width, threads)) {
        const auto& p = launch->params;
        require(launch->threads >= 1 && launch->threads <= std::max(threads, 32u) && p.lanes * p.depth <= launch->threads,
                "threads fit a threadgroup");
        require(launch->board <= 32768 && launch->groups >= 1, "threadgroup memory fits");
        require(static_cast<uint64_t>(p.strip) * p.strips >= p.columns && p.strip % p.run == 0, "strips of whole norms cover the columns");
      }
    }
  }
  if (const auto split = metal::splitRows(nest.kept, nest.reduced, width)) {
    require(static_cast<uint64_t>(split->length) * split->parts >= split->columns &&
                static_cast<uint64_t>(split->length) * (split->parts - 1) < split->columns,
            "parts cover a row, none is empty");
    require(split->length % width == 0, "parts are whole chunks");
  }
  const metal::NestParams params = metal::nestParams(nest);
  uint64_t elements = 1;
  for (int i = 0; i < 4; ++i) elements *= params.keptSize[i] * params.reducedSize[i];
  require(elements == static_cast<uint64_t>(shape.size()), "a nest's parameters hold the shape's elements");
  require(metal::wholeSimdgroups(input.within(1, int64_t{1} << 40), threads) % 32 == 0, "whole simdgroups");
}

// Kernels are found by name; a name that is not there is an error, whatever it is.
void lookup(Input& input) {
  auto& pipelines = static_cast<metal::MetalDevice&>(*gpu()).pipelines();
  const char* const libraries[] = {"cast", "narrow", "reduce", "weight_norm", "conv_direct", "", "common.h", "../cast"};
  const std::string library = libraries[input.within(0, 7)], function = input.raw().ConsumeRandomLengthString(40);
  try {
    pipelines.get(library, function, metal::Constants());
    require(!function.empty(), "only kernels have pipelines");
  } catch (const core::Error& error) {
    require(error.code() == core::Code::kExecution, "an unknown kernel is ERR_EXECUTION");
  }
}

void compare(const uint8_t* data, size_t size) {
  bool exact = false;
  const std::optional<Results> cpu = onCpu(data, size, &exact), gpu = onGpu(data, size);
  if (!cpu || !gpu) return;
  require(cpu->size() == gpu->size(), "both devices give as many results");
  for (size_t i = 0; i < cpu->size(); ++i) agree((*cpu)[i], (*gpu)[i], exact);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t kind = data[0] % 8;
  ++data, --size;
  if (kind < 2) {
    Input input(data, size);
    try {
      kind == 0 ? plans(input) : lookup(input);
    } catch (const core::Error& error) {
      require(error.code() == core::Code::kMemory, "a shape is refused for its size alone");
    }
    return 0;
  }
  @autoreleasepool {
    compare(data, size);
  }
  return 0;
}
