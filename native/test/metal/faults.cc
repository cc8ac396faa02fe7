#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <future>
#include <thread>

#include "harness.h"
#include "metal/metal.h"
#include "metal/overrides.h"
#include "softmetal/control.h"

namespace metaltest {

namespace {

core::ActivationOp doubling(const Tensor& x) {
  core::ActivationOp op;
  op.x = x;
  op.activation = {core::Act::kLeakyRelu, 2, false, {}};
  return op;
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

void refusal(const char* what, const char* setting, int64_t value, const char* part) {
  Fault fault(setting, value);
  std::string reason;
  check(metal::metalDevice(&reason) == nullptr, std::string(what) + " is refused");
  check(contains(reason, part), std::string(what) + " says why: " + reason);
}

void refusals() {
  refusal("no device", "no_device", 1, "headless");
  refusal("an older GPU", "family", 5, "Apple7");
  refusal("a virtual machine's GPU", "family", 0, "virtual machine");
  refusal("a GPU without Metal 3", "metal3", 0, "Metal 3");
  std::string reason = "old";
  const auto device = metal::metalDevice(&reason);
  check(device && reason.empty() && device->info().simulated && device->info().type == "metal",
        "the double serves and says it is simulated");
}

void allocation() {
  Session session;
  const Tensor x = session.upload(noise(100, 1), {100});
  session.synchronize();
  {
    Fault fault("fail_allocation", 1);
    std::string message;
    const Tensor y = session.run(doubling(session.run(doubling(x))));
    check(session.readCode(y, &message) == "ERR_MEMORY", "failed allocation: ERR_MEMORY");
    check(contains(message, "no memory"), "failed allocation says so: " + message);
  }
  check(session.readCode(session.run(doubling(x))) == "", "later work runs");
  {
    Fault fault("fail_allocation_once", 1);
    check(session.readCode(session.run(doubling(session.upload(noise(3000, 1), {3000})))) == "",
          "a retry after giving the cache back helps");
  }
  {
    Fault fault("max_buffer_length", 1 << 20);
    std::string message;
    check(session.readCode(session.upload(noise(300000, 1), {300000}), &message) == "ERR_MEMORY", "more than one buffer holds: ERR_MEMORY");
    check(contains(message, "1048576"), "and what it holds: " + message);
  }
  {
    // The cache and this queue's own unfinished work give way before an operation fails.
    const uint64_t big = 1 << 20;
    Fault limit("memory_limit", 12 << 20);
    Tensor y = session.upload(noise(big / 4, 2), {static_cast<int64_t>(big / 4)});
    for (int i = 0; i < 40; ++i) y = session.run(doubling(y));
    check(session.readCode(y) == "", "a chain of temporaries fits in a few buffers");
  }
  session.synchronize();
  session.device()->trim();
  {
    // What is needed fits only where a result that nobody wants any more is no longer being written.
    Fault limit("memory_limit", 12 << 20), late("completion_delay", 100000);
    const Tensor w = session.upload(noise(5 << 18, 2), {5 << 18}), few = session.upload(noise(1 << 17, 3), {1 << 17});
    core::ActivationOp unwanted = doubling(w);
    core::prepare(unwanted);
    session.queue().submit(std::move(unwanted));
    session.queue().flush();
    core::ConcatOp op;
    op.parts = {few, few, few, few, few, few, few, few, few, few, few};
    check(session.readCode(session.run(op)) == "", "memory of unfinished work is waited for");
  }
}

void compilation() {
  check(objectsLeft() == 0, "no device is left that has compiled its kernels");
  {
    Session session;
    const Tensor x = session.upload({1, -1}, {2});
    Fault fault("fail_compile", 1);
    std::string message;
    check(session.readCode(session.run(doubling(x)), &message) == "ERR_EXECUTION", "compile failure: ERR_EXECUTION");
    check(contains(message, "activation") && contains(message, "doctor"), "it names the kernel: " + message);
    check(session.readCode(session.run(doubling(x))) == "", "the next use compiles again");
  }
  objectsLeft();
  Session session;
  const Tensor x = session.upload({1, -1}, {2});
  Fault fault("fail_pipeline", 1);
  check(session.readCode(session.run(doubling(x))) == "ERR_EXECUTION", "pipeline failure: ERR_EXECUTION");
  check(session.readCode(session.run(doubling(x))) == "", "the next use makes it");
  const auto records = metal::compileRecords(*session.device());
  check(records.size() == 2 && records[0].function.empty() && records[1].function == "activation_float32" &&
            contains(records[1].constants, "0=1u"),
        "compile times are kept");
}

// One command buffer fails; the next holds work that derives from it and work that does not.
struct Split {
  Tensor first, derived, independent, third;
};
Split splitWork(Session& session, const Tensor& x) {
  Split split;
  split.first = session.run(doubling(x));
  session.queue().flush();
  split.derived = session.run(doubling(split.first));
  split.independent = session.run(doubling(x));
  split.third = session.run(doubling(split.derived));
  return split;
}

void failedBuffer(int64_t code, const char* expected, const char* part) {
  const std::string what = "command buffer error " + std::to_string(code);
  // The double must not stop kernels for reading what the failed ones did not write: memory comes with old values.
  const metal::Overrides before = metal::overrides();
  metal::overrides().recycled = nullptr;
  Session session;
  const Tensor x = session.upload({1, 2, -3}, {3});
  check(session.readCode(splitWork(session, x).third) == "", what + ": warm");
  session.synchronize();
  softmetal_set("fail_commit", 1);
  softmetal_set("fail_commit_code", code);
  softmetal_set("completion_delay", 3000);
  {
    const Split split = splitWork(session, x);
    std::string message;
    check(session.readCode(split.third, &message) == expected, what + ": what derives from it fails with " + expected + ", got " + message);
    check(contains(message, part), what + " says: " + message);
    check(session.readCode(split.first) == expected, what + ": so does its own result");
    same(what + ": independent work is right", session.read(split.independent), {1, 2, -6});
    check(session.synchronize() == nullptr, what + ": a failure that was read is not reported again");
  }
  softmetal_reset();
  check(session.readCode(session.run(doubling(x))) == "", what + ": later work runs");

  softmetal_set("fail_commit", 1);
  softmetal_set("fail_commit_code", code);
  session.run(doubling(x));
  const core::FailurePtr failure = session.synchronize();
  check(failure && core::name(failure->error.code()) == std::string(expected), what + ": synchronize reports what nobody read");
  check(session.synchronize() == nullptr, what + ": once");
  softmetal_reset();
  metal::overrides() = before;
}

void lostDevice(int64_t code) {
  const std::string what = "lost device " + std::to_string(code);
  {
    Session session;
    const Tensor x = session.upload({1, 2}, {2});
    const Tensor before = session.run(doubling(x));
    session.read(before);
    softmetal_lose_device(code);
    check(session.readCode(session.run(doubling(x))) == "ERR_DEVICE_LOST", what + ": the work fails");
    check(session.readCode(session.run(doubling(x))) == "ERR_DEVICE_LOST", what + ": so does later work");
    check(session.readCode(session.upload({1}, {1})) == "ERR_DEVICE_LOST", what + ": and uploads");
    check(session.readCode(before) == "", what + ": what was computed can be read");
    softmetal_reset();
    check(session.readCode(session.run(doubling(x))) == "ERR_DEVICE_LOST", what + ": for good");
  }
  objectsLeft();
  Session session;
  check(session.readCode(session.run(doubling(session.upload({1}, {1})))) == "", what + ": a new device works");
}

void revokedAfterTimeout() {
  {
    Session session;
    const Tensor x = session.upload({1, 2}, {2});
    softmetal_set("fail_commit", 1);
    softmetal_set("fail_commit_code", 2);
    softmetal_set("revoke_after_failure", 1);
    check(session.readCode(session.run(doubling(x))) == "ERR_EXECUTION", "the time-out itself: ERR_EXECUTION");
    check(session.readCode(session.run(doubling(x))) == "ERR_DEVICE_LOST", "the refused work after it: ERR_DEVICE_LOST");
    softmetal_reset();
  }
  objectsLeft();  // the lost device is shared as long as a handler's thread holds it
}

void hang() {
  Session session;
  const Tensor x = session.upload({1, 2}, {2});
  softmetal_set("hang", 1);
  const Tensor y = session.run(doubling(x));
  auto code = std::async(std::launch::async, [&] { return session.readCode(y); });
  check(code.wait_for(std::chrono::milliseconds(30)) == std::future_status::timeout, "a hung read waits");
  softmetal_reset();
  check(code.get() == "ERR_EXECUTION", "and fails when the system stops the work");
}

// An operation waits for a free command buffer; meanwhile the one its input comes from fails.
void failsWhileWaiting() {
  const metal::Overrides before = metal::overrides();
  metal::overrides().recycled = nullptr;  // as in failedBuffer
  metal::overrides().maxInFlight = 1;
  {
    Session session;
    const Tensor x = session.upload({1, -2}, {2});
    check(session.readCode(session.run(doubling(x))) == "", "before anything fails");
    softmetal_set("hang", 1);
    const Tensor first = session.run(doubling(x));
    session.queue().flush();
    const Tensor derived = session.run(doubling(first));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the queue's thread waits in `derived`
    softmetal_reset();
    check(session.readCode(derived) == "ERR_EXECUTION", "an input that fails while its reader waits: the reader fails");
    check(session.readCode(session.run(doubling(x))) == "", "and work after it runs");
  }
  metal::overrides() = before;
}

void outOfOrder(bool failing) {
  softmetal_set("shuffle_completion", 1);
  if (failing) softmetal_set("fail_commit", 12);
  Session session;
  std::mutex mutex;
  std::vector<int> order;
  Tensor y = session.upload({1, -1}, {2});
  for (int i = 0; i < 30; ++i) {
    y = session.run(doubling(y));
    session.queue().read(y, [&order, &mutex, i](const void*, core::FailurePtr) {
      std::lock_guard lock(mutex);
      order.push_back(i);
    });
    session.queue().flush();
  }
  session.synchronize();
  {
    std::lock_guard lock(mutex);
    check(order.size() == 30, "completions out of order: every read is answered once");
    check(failing || std::is_sorted(order.begin(), order.end()), "completions out of order: reads are answered in order");
  }
  check(session.readCode(y) == (failing ? "ERR_EXECUTION" : ""), "the chain's end knows of a failure in its middle");
  softmetal_reset();
  if (failing) forgetUnwrittenReads();
}

// Two failures before anyone asks: the first is told, and nothing afterwards.
void toldOnce() {
  Session session;
  const Tensor x = session.upload({1, -1}, {2});
  for (int i = 0; i < 2; ++i) {
    softmetal_set("fail_commit", 1);
    session.run(doubling(x));
    session.queue().flush();
    session.read(x);  // the queue has committed it
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  check(session.synchronize() != nullptr, "two command buffers fail: the first is told");
  check(session.synchronize() == nullptr, "and nothing afterwards");
  softmetal_reset();
}

void versions() {
  for (const long major : {13L, 14L, 15L}) {
    objectsLeft();  // a device that is left has compiled its kernels
    softmetal_set_os_version(major, 0, 0);
    metal::overrides().systemMajor = static_cast<int>(major);
    Session session;
    const Tensor y = session.run(doubling(session.upload({1, -1}, {2})));
    same("macOS " + std::to_string(major), session.read(y), {1, -2});
    // Compilers that may forget that there is NaN make it 0.
    core::ActivationOp relu;
    relu.x = session.upload({NAN}, {1});
    relu.activation = {core::Act::kRelu, 0, false, {}};
    check(std::isnan(session.read(session.run(relu))[0]), "macOS " + std::to_string(major) + " keeps NaN");
  }
  metal::overrides().systemMajor = 0;
  softmetal_reset();
}

void memoryLimit() {
  objectsLeft();  // the limit is read when a device is found, and an earlier one is shared while a handler's thread holds it
  setenv("WEIGHTNORM_MEMORY_LIMIT", "100000", 1);
  {
    Session session;
    const Tensor x = session.empty({20000}, DType::kFloat32);
    std::string code;
    try {
      session.empty({20000}, DType::kFloat32);
    } catch (const core::Error& error) {
      code = core::name(error.code());
    }
    check(code == "ERR_MEMORY", "WEIGHTNORM_MEMORY_LIMIT bounds live tensors");
  }
  setenv("WEIGHTNORM_MEMORY_LIMIT", "lots", 1);
  std::string code;
  try {
    Session session;
  } catch (const core::Error& error) {
    code = core::name(error.code());
  }
  check(code == "ERR_ARGUMENT", "a bad WEIGHTNORM_MEMORY_LIMIT is named");
  unsetenv("WEIGHTNORM_MEMORY_LIMIT");
}

}  // namespace

void faults() {
  refusals();
  allocation();
  compilation();
  failedBuffer(1, "ERR_EXECUTION", "could not run");
  failedBuffer(2, "ERR_EXECUTION", "too long");
  failedBuffer(3, "ERR_EXECUTION", "memory it may not");
  failedBuffer(8, "ERR_MEMORY", "ran out of memory");
  failedBuffer(9, "ERR_EXECUTION", "memory that is gone");
  failedBuffer(12, "ERR_EXECUTION", "stack");
  lostDevice(4);
  lostDevice(7);
  lostDevice(11);
  revokedAfterTimeout();
  hang();
  failsWhileWaiting();
  outOfOrder(false);
  outOfOrder(true);
  toldOnce();
  versions();
  memoryLimit();
}

}  // namespace metaltest
