#include "harness.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <random>
#include <thread>

#include "../host_values.h"
#include "metal/metal.h"
#include "metal/overrides.h"
#include "softmetal/control.h"

namespace metaltest {

namespace {

int passed = 0, failed = 0;

double ulpOf(double value, DType dtype) {
  const int digits = dtype == DType::kFloat32 ? 23 : dtype == DType::kFloat16 ? 10 : 7;
  const int least = dtype == DType::kFloat16 ? -14 : -126;
  if (value == 0 || !std::isfinite(value)) return std::ldexp(1.0, least - digits);
  return std::ldexp(1.0, std::max(std::ilogb(value), least) - digits);
}

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

int report() {
  std::printf("native-metal: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}

Session::Session() {
  std::string reason;
  device_ = metal::metalDevice(&reason);
  if (!device_) throw core::Error(core::Code::kDeviceUnavailable, reason);
  queue_ = std::make_unique<core::Queue>(device_, uint64_t{1} << 30);
}

Tensor Session::empty(const Shape& shape, DType dtype) {
  return core::makeTensor(device_, shape, dtype);
}

Tensor Session::upload(const std::vector<float>& values, const Shape& shape, DType dtype) {
  Tensor tensor = empty(shape, dtype);
  queue_->submit(core::UploadOp{tensor, testing::toBytes(values, dtype)});
  return tensor;
}

std::vector<float> Session::read(const Tensor& tensor) {
  auto promise = std::make_shared<std::promise<std::vector<float>>>();
  const auto size = static_cast<size_t>(tensor.size());
  const DType dtype = tensor.dtype;
  queue_->read(tensor, [promise, size, dtype](const void* data, core::FailurePtr failure) {
    if (failure) return promise->set_exception(std::make_exception_ptr(failure->error));
    promise->set_value(testing::toValues(data, size, dtype));
  });
  return promise->get_future().get();
}

core::FailurePtr Session::synchronize() {
  std::promise<core::FailurePtr> promise;
  queue_->synchronize([&](core::FailurePtr failure) { promise.set_value(std::move(failure)); });
  return promise.get_future().get();
}

std::string Session::readCode(const Tensor& tensor, std::string* message) {
  try {
    read(tensor);
    return "";
  } catch (const core::Error& error) {
    if (message) *message = error.what();
    return core::name(error.code());
  }
}

float rounded(float value, DType dtype) {
  return testing::roundTo(value, dtype);
}

std::vector<float> rounded(std::vector<float> values, DType dtype) {
  for (float& value : values) value = rounded(value, dtype);
  return values;
}

std::vector<float> noise(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 1.5f);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

void compare(const std::string& what, const std::vector<float>& got, const std::vector<double>& want, DType dtype, double ulps,
             double floor) {
  if (got.size() != want.size()) return check(false, what + ": size");
  const double largest = dtype == DType::kFloat16 ? 65519.99 : 3.4028235677973366e38;
  double worst = 0;
  size_t at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    double error;
    if (std::isnan(want[i]) || std::isnan(got[i])) {
      error = std::isnan(want[i]) && std::isnan(got[i]) ? 0 : INFINITY;
    } else if (std::fabs(want[i]) > largest) {
      error = std::isinf(got[i]) && std::signbit(got[i]) == std::signbit(want[i]) ? 0 : INFINITY;
    } else {
      error = std::max(0.0, std::fabs(got[i] - want[i]) - floor) / ulpOf(want[i], dtype);
    }
    if (error > worst) worst = error, at = i;
  }
  check(worst <= ulps, what + ": element " + std::to_string(at) + " is " + std::to_string(got[at]) + ", want " + std::to_string(want[at]) +
                           ", " + std::to_string(worst) + " ulp");
}

void same(const std::string& what, const std::vector<float>& got, const std::vector<float>& want) {
  size_t wrong = 0, first = 0;
  for (size_t i = 0; i < want.size() && got.size() == want.size(); ++i) {
    if (std::bit_cast<uint32_t>(got[i]) == std::bit_cast<uint32_t>(want[i])) continue;
    if (!wrong++) first = i;
  }
  check(got.size() == want.size() && wrong == 0, what + ": " + std::to_string(wrong) + " wrong, the first at " + std::to_string(first));
}

void everyPath(const std::function<void(const std::string& path)>& body) {
  const metal::Overrides before = metal::overrides();
  body("");
  metal::overrides().wideIndices = true;
  body(" (64-bit)");
  metal::overrides() = before;
  metal::overrides().maxGridThreads = 40;
  body(" (small grid)");
  metal::overrides() = before;
}

int64_t objectsLeft() {
  for (int i = 0; i < 200 && softmetal_live_objects() != 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return softmetal_live_objects();
}

void forgetUnwrittenReads() {
  std::string messages(65536, '\0');
  messages.resize(std::min<size_t>(softmetal_take_violations(messages.data(), messages.size()), messages.size()));
  for (size_t at = 0; at < messages.size();) {
    const size_t end = std::min(messages.find('\n', at), messages.size());
    const std::string line = messages.substr(at, end - at);
    if (line.find("read of uninitialised memory") == std::string::npos) check(false, "broke a rule: " + line);
    at = end + 1;
  }
}

Fault::Fault(const char* name, int64_t value) {
  check(softmetal_set(name, value) == 0, std::string("setting ") + name);
}

Fault::~Fault() {
  softmetal_reset();
}

}  // namespace metaltest
