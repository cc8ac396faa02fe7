#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "harness.h"
#include "metal/metal.h"
#include "softmetal/control.h"

// What a device cannot do or refuses: each is answered with an error or by another path, and later work runs.
namespace metaltest {

namespace {

core::ActivationOp relu(const Tensor& x) {
  core::ActivationOp op;
  op.x = x;
  op.activation = {core::Act::kRelu, 0, false, {}};
  return op;
}

void everyKernel() {
  Session session;
  std::set<std::string> names;
  for (const metal::KernelFunction& kernel : metal::kernelFunctions(*session.device()))
    names.insert(kernel.library + "/" + kernel.function);
  check(names.size() > 100 && names.count("weight_norm/wn_loop_float32") && names.count("fill/fill_bfloat16"),
        "every kernel is named: " + std::to_string(names.size()));
  check(std::string(metal::sourceHashes().kernels).size() == 12 && std::string(metal::sourceHashes().host).size() == 12,
        "the build names its sources");
  size_t libraries = 0;
  for (const metal::CompileRecord& record : metal::compileRecords(*session.device())) libraries += record.function.empty();
  check(libraries >= 15, "and every library compiled: " + std::to_string(libraries));
}

// v of 2 rows, a norm a column: wide enough that strips keep their full width.
void columns(Session& session, DType dtype) {
  constexpr int64_t kColumns = 16384;
  const std::vector<float> v = rounded(noise(2 * kColumns, 3), dtype), gradW = rounded(noise(2 * kColumns, 4), dtype);
  const std::vector<float> g = rounded(noise(kColumns, 5), dtype);
  core::WeightNormOp forward;
  forward.v = session.upload(v, {2, kColumns}, dtype);
  forward.g = session.upload(g, {1, kColumns}, dtype);
  forward.reduce = 1;
  core::WeightNormBackwardOp backward;
  backward.gradW = session.upload(gradW, {2, kColumns}, dtype);
  backward.v = forward.v;
  backward.g = forward.g;
  backward.reduce = 1;
  core::prepare(forward);
  session.queue().submit(forward);
  core::prepare(backward);
  session.queue().submit(backward);
  std::vector<double> w(v.size()), gradV(v.size()), gradG(g.size());
  for (size_t j = 0; j < g.size(); ++j) {
    const double a = v[j], b = v[j + kColumns], n = std::sqrt(a * a + b * b), s = a * gradW[j] + b * gradW[j + kColumns];
    gradG[j] = s / n;
    for (const size_t i : {j, j + kColumns}) {
      w[i] = v[i] * (g[j] / n);
      gradV[i] = g[j] / n * (gradW[i] - v[i] * s / (n * n));
    }
  }
  const std::string what = std::string(" of columns, 32 threads a threadgroup, ") + core::name(dtype);
  const double ulps = dtype == DType::kFloat32 ? 4 : 1;
  compare("weight norm" + what, session.read(forward.w), w, dtype, ulps);
  compare("gradients of v" + what, session.read(backward.gradV), gradV, dtype, ulps, 1e-6);
  compare("gradients of g" + what, session.read(backward.gradG), gradG, dtype, ulps, 1e-6);
}

void fewThreads() {
  Session session;
  const Tensor v = session.upload(noise(64, 1), {4, 16});
  core::WeightNormOp op;
  op.v = v;
  op.g = session.upload(noise(4, 2), {4, 1});
  op.reduce = 2;
  core::prepare(op);
  {
    Fault fault("max_threads", 16);
    session.queue().submit(op);
    std::string message;
    check(session.readCode(op.w, &message) == "ERR_EXECUTION", "half a simdgroup is not enough");
    check(message.find("allows it 16") != std::string::npos, "and says so: " + message);
  }
}

void oneSimdgroup() {
  objectsLeft();
  Fault fault("max_threads", 32);
  Session session;
  for (const DType dtype : kDTypes) columns(session, dtype);
}

void otherSimdWidth() {
  objectsLeft();
  Session session;
  const Tensor x = session.upload({1, -1}, {2});
  Fault fault("simd_width", 64);
  std::string message;
  check(session.readCode(session.run(relu(x)), &message) == "ERR_DEVICE_UNAVAILABLE", "64 threads a simdgroup are refused");
  check(message.find("64 threads a SIMD group") != std::string::npos, "and says so: " + message);
}

void refusedQueue() {
  Session session;
  const Tensor x = session.upload({1, -1}, {2});
  session.synchronize();
  {
    // The first allocation is the result's, the second the stream's own.
    Fault fault("fail_allocation_once", 2);
    std::string message;
    check(session.readCode(session.run(relu(x)), &message) == "ERR_EXECUTION", "a queue that cannot be made: ERR_EXECUTION");
    check(message.find("Metal gave no") != std::string::npos, "and says so: " + message);
  }
  same("the next operation makes it", session.read(session.run(relu(x))), {1, 0});
}

void refusedProduct() {
  Session session;
  core::MatmulOp op;
  op.a = session.upload(noise(256 * 256, 1), {256, 256});
  op.b = session.upload(noise(256 * 256, 2), {256, 256});
  {
    Fault fault("fail_product", 1);
    std::string message;
    check(session.readCode(session.run(op), &message) == "ERR_EXECUTION", "a product that cannot be made: ERR_EXECUTION");
    check(message.find("WEIGHTNORM_MPS=0") != std::string::npos, "and says what helps: " + message);
  }
  check(session.readCode(session.run(op)) == "", "later products run");
}

// A device of 8 MiB keeps 2 MiB of freed memory at most, and less where live memory needs it.
void smallCache() {
  objectsLeft();
  setenv("WEIGHTNORM_MEMORY_LIMIT", "8388608", 1);
  {
    Session session;
    const auto tensors = [&](size_t count, int64_t size) {
      std::vector<Tensor> made;
      for (size_t i = 0; i < count; ++i) made.push_back(session.upload(noise(size, 1), {size}));
      session.synchronize();
      return made;
    };
    tensors(10, 131072);
    session.synchronize();
    const uint64_t cached = session.device()->cachedBytes();
    check(cached > 0 && cached <= 2 << 20, "a quarter of the limit is cached: " + std::to_string(cached));
    const std::vector<Tensor> live = tensors(7, 262144);
    check(session.device()->cachedBytes() <= 1 << 20, "live memory takes the cache's: " + std::to_string(session.device()->cachedBytes()));
  }
  unsetenv("WEIGHTNORM_MEMORY_LIMIT");
}

}  // namespace

void limits() {
  everyKernel();
  fewThreads();
  oneSimdgroup();
  otherSimdWidth();
  refusedQueue();
  refusedProduct();
  smallCache();
}

}  // namespace metaltest
