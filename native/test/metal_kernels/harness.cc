#include "harness.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <future>

#include "metal/metal.h"

namespace testing {

namespace {

int passed = 0, failed = 0;

}  // namespace

void check(bool ok, const std::string& what) {
  ok ? ++passed : ++failed;
  if (!ok && failed <= 40) std::printf("FAILED %s\n", what.c_str());
  // Mutation tests ask no more than whether anything fails.
  static const bool stops = std::getenv("WEIGHTNORM_TEST_STOP") != nullptr;
  if (ok || !stops) return;
  std::fflush(stdout);
  std::_Exit(1);
}

static std::shared_ptr<core::Device>& sharedDevice() {
  static std::shared_ptr<core::Device> instance;
  return instance;
}
static std::unique_ptr<core::Backend>& sharedBackend() {
  static std::unique_ptr<core::Backend> instance;
  return instance;
}

// The GPU goes before the program's static objects do.
int report() {
  sharedBackend().reset();
  sharedDevice().reset();
  std::printf("native-metal-kernels: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

std::shared_ptr<core::Device> device() {
  if (!sharedDevice()) {
    std::string reason;
    sharedDevice() = metal::metalDevice(&reason);
    if (!sharedDevice()) {
      std::fprintf(stderr, "no Metal device: %s\n", reason.c_str());
      std::exit(2);
    }
  }
  return sharedDevice();
}

core::Backend& backend() {
  if (!sharedBackend()) sharedBackend() = device()->createBackend();
  return *sharedBackend();
}

Tensor make(const Shape& shape, DType dtype, const std::vector<float>& values) {
  core::UploadOp op{core::makeTensor(device(), shape, dtype), toBytes(values, dtype)};
  backend().run(op);
  return op.y;
}

Tensor make(const Shape& shape, DType dtype, const std::function<float()>& value) {
  std::vector<float> values(static_cast<size_t>(shape.size()));
  for (float& x : values) x = value();
  return make(shape, dtype, values);
}

std::vector<uint8_t> readBytes(const Tensor& tensor) {
  std::promise<std::vector<uint8_t>> promise;
  auto future = promise.get_future();
  backend().read(tensor, [&](const void* data, core::FailurePtr failure) {
    if (failure) return promise.set_exception(std::make_exception_ptr(failure->error));
    const auto* first = static_cast<const uint8_t*>(data);
    promise.set_value({first, first + tensor.bytes()});
  });
  backend().flush();
  return future.get();
}

std::vector<double> read(const Tensor& tensor) {
  const std::vector<uint8_t> bytes = readBytes(tensor);
  const std::vector<float> values = toValues(bytes.data(), static_cast<size_t>(tensor.size()), tensor.dtype);
  return {values.begin(), values.end()};
}

double ulp(double x, DType dtype) {
  const int digits = dtype == DType::kFloat32 ? 24 : dtype == DType::kFloat16 ? 11 : 8;
  const int least = dtype == DType::kFloat16 ? -14 : -126;
  const int exponent = x == 0 || !std::isfinite(x) ? least : std::max(least, std::ilogb(x));
  return std::ldexp(1.0, exponent - digits + 1);
}

static bool isSet(const char* name) {
  const char* text = std::getenv(name);
  return text && std::strcmp(text, "1") == 0;
}
bool flushesSubnormals() {
  return isSet("SOFTMETAL_FLUSH_SUBNORMALS");
}
bool fastMath() {
  return isSet("SOFTMETAL_FAST_MATH");
}

double ulpsApart(double got, double want, DType dtype) {
  if (std::isnan(got) && std::isnan(want)) return 0;
  const double most = dtype == DType::kFloat16 ? 65520 : dtype == DType::kFloat32 ? 3.4028235677973366e38 : 3.3961775292304601e38;
  if (std::fabs(want) >= most) want = std::copysign(INFINITY, want);
  if (std::isinf(want) && got == want) return 0;
  if (!std::isfinite(got) || !std::isfinite(want)) return INFINITY;
  if (flushesSubnormals() && got == 0 && std::fabs(want) < 0x1p-126) return 0;
  return std::fabs(got - want) / ulp(want, dtype);
}

double relativeError(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  if (std::isnan(difference)) return INFINITY;
  return norm == 0 ? (difference == 0 ? 0 : INFINITY) : std::sqrt(difference / norm);
}

std::function<float()> normal(Random& random, double deviation, double mean) {
  return [&random, deviation, mean] { return static_cast<float>(std::normal_distribution<double>(mean, deviation)(random)); };
}

std::vector<int64_t> keptIndices(const Shape& shape, uint32_t reduce) {
  std::vector<int64_t> kept(static_cast<size_t>(shape.size()));
  const auto strides = shape.strides();
  for (int64_t i = 0; i < shape.size(); ++i) {
    int64_t index = 0;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (reduce >> axis & 1) continue;
      index = index * shape[axis] + i / strides[static_cast<size_t>(axis)] % shape[axis];
    }
    kept[static_cast<size_t>(i)] = index;
  }
  return kept;
}

}  // namespace testing
