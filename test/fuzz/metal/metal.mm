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
                             const std::vector<std::byte> values = numbers(t, input);
                             const auto bytes = core::hostBytes(values.size());
                             std::memcpy(bytes.get(), values.data(), values.size());
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

// Launches of one weight norm and its gradients for shapes up to what no machine has memory for, none of which runs.
void plans(Input& input) {
  const Shape shape = input.shape(input.flag(), 1, core::kMaxRank);
  if (shape.size() > int64_t{1} << 40) return;
  const auto elements = static_cast<uint64_t>(shape.size());
  const core::Nest nest(shape, static_cast<uint32_t>(input.within(0, (1 << shape.rank()) - 1)));
  const auto output = static_cast<metal::NormRule::Output>(input.within(0, 2));
  const auto rule = metal::normRule(input.dtype(), input.eps(), output);
  const auto threads = static_cast<uint32_t>(input.within(1, 32) * 32);
  const auto limit = [&](const std::string&, const std::string&) { return threads; };
  const DType dtype = input.dtype();
  for (const metal::NormPlan& plan : {metal::planNorm(nest, dtype, rule, limit), metal::planBackward(nest, dtype, rule, limit)}) {
    require(plan.dispatches.size() == (plan.partialBytes > 0 ? 2 : 1), "partial results are of two dispatches");
    for (const metal::NormDispatch& one : plan.dispatches) {
      require(one.threads >= 32 && one.threads <= threads && one.threads % 32 == 0, "threads are whole simdgroups that fit");
      require(one.board <= 32768 && one.groups[0] >= 1 && one.groups[1] >= 1, "a launch that Metal takes");
      if (const auto* p = std::get_if<metal::RowsParams>(&one.params)) {
        require(p->rows * p->columns == elements, "rows hold the elements");
        require(
            one.kernel.find("_simd_") == std::string::npos ? one.groups[0] == p->rows : one.groups[0] * (one.threads / p->lanes) >= p->rows,
            "every row has threads");
      } else if (const auto* p = std::get_if<metal::SplitParams>(&one.params)) {
        require(p->columns * static_cast<uint64_t>(nest.kept) == elements && one.groups[1] == static_cast<uint64_t>(nest.kept),
                "split rows hold the elements");
        require(uint64_t{p->length} * p->parts >= p->columns && uint64_t{p->length} * (p->parts - 1) < p->columns,
                "parts cover a row, none is empty");
        require(plan.partialBytes >= uint64_t{p->parts} * static_cast<uint64_t>(nest.kept) * 16, "partial results have room");
      } else if (const auto* p = std::get_if<metal::ColumnsParams>(&one.params)) {
        require(p->norms * p->rows * p->run == elements && p->kept * p->run == p->columns, "columns hold the elements");
        require(uint64_t{p->strip} * p->strips >= p->columns && uint64_t{p->strip} * (p->strips - 1) < p->columns && p->strip % p->run == 0,
                "strips of whole norms cover the columns");
        require(uint64_t{p->length} * p->parts >= p->rows && uint64_t{p->length} * (p->parts - 1) < p->rows, "parts cover the rows");
        require(p->lanes * p->depth <= one.threads && p->strip / p->run <= one.threads, "every lane and every norm has a thread");
        require(one.groups[0] == p->norms / p->kept * p->strips, "every strip has a threadgroup");
        require(plan.partialBytes == 0 || plan.partialBytes >= p->norms * p->parts * 8, "partial results have room");
      } else {
        const auto& nested = std::get<metal::NestParams>(one.params);
        uint64_t product = 1;
        for (int i = 0; i < 4; ++i) product *= nested.keptSize[i] * nested.reducedSize[i];
        require(product == elements && one.groups[0] == static_cast<uint64_t>(nest.kept), "a nest's parameters hold the elements");
      }
    }
  }
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
  @autoreleasepool {
    if (kind >= 2) {
      compare(data, size);
      return 0;
    }
    Input input(data, size);
    try {
      kind == 0 ? plans(input) : lookup(input);
    } catch (const core::Error& error) {
      require(error.code() == core::Code::kMemory, "a shape is refused for its size alone");
    }
  }
  return 0;
}
