#include <atomic>
#include <cstdlib>
#include <future>
#include <thread>

#include "harness.h"
#include "metal/overrides.h"
#include "softmetal/control.h"

namespace metaltest {

namespace {

core::ActivationOp relu(const Tensor& x) {
  core::ActivationOp op;
  op.x = x;
  op.activation = {core::Act::kRelu, 0, false, {}};
  return op;
}

uint64_t counter(const char* name) {
  std::string json(65536, '\0');
  softmetal_counters_json(json.data(), json.size());
  const size_t at = json.find("\"" + std::string(name) + "\":");
  return std::strtoull(json.c_str() + at + std::string(name).size() + 3, nullptr, 10);
}

// Command buffers, encoders and barriers that `body` costs once its kernels are compiled.
template <class Body>
void cost(const std::string& what, uint64_t buffers, uint64_t barriers, Session& session, const Body& body) {
  body();
  session.synchronize();
  softmetal_reset_counters();
  body();
  session.synchronize();
  check(counter("commandBuffers") == buffers, what + ": " + std::to_string(counter("commandBuffers")) + " command buffers");
  check(counter("memoryBarriers") == barriers, what + ": " + std::to_string(counter("memoryBarriers")) + " barriers");
}

void encoding() {
  Session session;
  const Tensor x = session.upload(noise(300, 1), {300});
  cost("independent work", 1, 0, session, [&] {
    std::vector<Tensor> kept;
    for (int i = 0; i < 5; ++i) kept.push_back(session.run(relu(x)));
    session.synchronize();
  });
  cost("a chain", 1, 4, session, [&] {
    Tensor y = x;
    for (int i = 0; i < 5; ++i) y = session.run(relu(y));
  });
  cost("parts of one result", 1, 0, session, [&] {
    core::ConcatOp op;
    op.parts = {x, x, x};
    const Tensor y = session.run(op);
    session.synchronize();
  });
  // The queue holds the only reference to each result, whose memory the next operation takes: one write after another.
  cost("memory written again, never read", 1, 1, session, [&] {
    session.device()->trim();
    for (int i = 0; i < 2; ++i) {
      core::ActivationOp op = relu(x);
      core::prepare(op);
      session.queue().submit(std::move(op));
    }
  });
  cost("parts written again, never read", 1, 1, session, [&] {
    session.device()->trim();
    for (int i = 0; i < 2; ++i) {
      core::ConcatOp op;
      op.parts = {x, x};
      core::prepare(op);
      session.queue().submit(std::move(op));
    }
  });
  {
    // x's memory is free once a is encoded, and b's operation takes it while a's may still be reading.
    session.device()->trim();
    const Tensor other = session.upload(noise(300, 2), {300});
    cost("memory reused within a command buffer", 1, 2, session, [&] {
      session.synchronize();
      Tensor y = session.run(relu(x));
      const Tensor a = session.run(relu(y));
      y = {};
      const Tensor b = session.run(relu(other));
      session.synchronize();
    });
  }
  const metal::Overrides before = metal::overrides();
  metal::overrides().maxOps = 4;
  cost("ten operations, four a command buffer", 3, 7, session, [&] {
    Tensor y = x;
    for (int i = 0; i < 10; ++i) y = session.run(relu(y));
  });
  metal::overrides() = before;
  metal::overrides().maxBytes = 300 * 4 * 2 * 5;
  cost("ten operations, five in the byte limit", 2, 8, session, [&] {
    Tensor y = x;
    for (int i = 0; i < 10; ++i) y = session.run(relu(y));
  });
  metal::overrides() = before;
}

// Matrix products bring encoders of their own, into which only the command buffer's order reaches.
void matrixProducts() {
  Session session;
  constexpr int64_t side = 256;
  std::vector<float> a(side * side), b(side * side, 0);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 7) - 3;
  for (size_t i = 0; i < side; ++i) b[i * side + (i + 1) % side] = 1;  // shifts columns by one
  std::vector<float> want(a.size());
  for (size_t i = 0; i < a.size(); ++i) {
    const size_t row = i / side, column = (i + side - 2) % side;
    want[i] = a[row * side + column] < 0 ? 0 : a[row * side + column];
  }
  const Tensor left = session.upload(a, {side, side}), shift = session.upload(b, {side, side});
  for (const bool split : {false, true}) {
    softmetal_reset_counters();
    // What came before is still under way when the next command buffer is encoded.
    const Fault late("completion_delay", 20000);
    Tensor y = session.run(relu(left));
    for (int i = 0; i < 2; ++i) {
      if (split) session.queue().flush();
      core::MatmulOp op;
      op.a = y;
      op.b = shift;
      y = session.run(op);
    }
    y = session.run(relu(y));
    same(std::string("products between kernels") + (split ? ", each first in its command buffer" : ""), session.read(y), want);
    check(counter("matrixProducts") == 2, "by Metal Performance Shaders");
  }
}

void boundedFlight() {
  const metal::Overrides before = metal::overrides();
  metal::overrides().maxOps = 1;
  metal::overrides().maxInFlight = 3;
  {
    Session session;
    softmetal_set("completion_delay", 1000);
    Tensor y = session.upload({1, -1}, {2});
    for (int i = 0; i < 100; ++i) {
      core::ActivationOp op;
      op.x = y;
      op.activation = {core::Act::kLeakyRelu, 2, false, {}};
      y = session.run(op);
    }
    same("a hundred command buffers, three at a time", session.read(y), {1, -0x1p100f});
    softmetal_reset();
  }
  {
    // The first one takes its time: no more than it and two others are made meanwhile.
    Session session;
    const Tensor x = session.upload({1, -1}, {2});
    session.synchronize();
    softmetal_reset_counters();
    softmetal_set("completion_delay", 2000000);
    for (int i = 0; i < 10; ++i) session.run(relu(x));
    session.queue().flush();
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    check(counter("commandBuffers") <= 3, "command buffers in flight: " + std::to_string(counter("commandBuffers")));
    softmetal_set("completion_delay", 0);
    session.synchronize();
    softmetal_reset();
  }
  metal::overrides() = before;
}

void memory() {
  Session session;
  const core::Device& device = *session.device();
  {
    Tensor y = session.upload(noise(100000, 1), {100000});
    session.synchronize();
    softmetal_reset_counters();
    for (int i = 0; i < 200; ++i) {
      y = session.run(relu(y));
      if (i % 20 == 19) session.synchronize();
    }
    check(counter("buffersCreated") <= 25, "200 temporaries share " + std::to_string(counter("buffersCreated")) + " buffers");
    check(device.cachedBytes() > 0, "freed memory is cached");
  }
  session.synchronize();
  session.device()->trim();
  check(device.cachedBytes() == 0, "trim gives it back");
  {
    const Tensor x = session.upload(noise(1000, 4), {1000});
    session.synchronize();
    softmetal_reset_counters();
    session.run(relu(x));
    session.synchronize();
    check(counter("residentBindings") == 2, "both operands are resident: " + std::to_string(counter("residentBindings")));
    session.device()->trim();
  }
  session.synchronize();
  session.device()->trim();

  // Memory freed while the GPU still uses it: never handed to the CPU early, given back by trim when done.
  softmetal_set("completion_delay", 2000);
  const std::vector<float> a = noise(1000, 2), b = noise(1000, 3);
  for (int i = 0; i < 20; ++i) {
    Tensor y = session.run(relu(session.upload(a, {1000})));
    session.queue().flush();
    const Tensor z = session.upload(b, {1000});
    std::vector<double> want;
    for (const float v : a) want.push_back(v < 0 ? 0 : v);
    compare("reuse under way", session.read(y), want, DType::kFloat32, 0);
    same("upload under way", session.read(z), b);
  }
  const Tensor idle = session.upload(b, {1000});
  session.synchronize();
  session.device()->trim();
  softmetal_set("completion_delay", 200000);  // far longer than the way to trim
  {
    Tensor y = session.run(relu(session.upload(a, {1000})));
    session.queue().flush();
    y = {};
    session.read(idle);  // everything before it is encoded, and its memory comes to the cache, busy
    for (int i = 0; i < 2000 && device.cachedBytes() < 8000; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    session.device()->trim();
  }
  check(!session.synchronize(), "trim leaves memory to the work that uses it");
  check(device.cachedBytes() == 0, "trim reaches memory that was busy");
  softmetal_reset();
}

void teardown() {
  // Work in flight, reads pending, then everything goes.
  for (const char* fault : {"", "fail_commit", "shuffle_completion"}) {
    std::atomic<int> answers = 0;
    int asked = 0;
    Tensor survivor;
    {
      Session session;
      softmetal_set("completion_delay", *fault ? 500 : 10000);
      if (*fault) softmetal_set(fault, 1);
      const Tensor x = session.upload(noise(50, 1), {50});
      Tensor y = x;
      for (int i = 0; i < 20; ++i) {
        y = session.run(relu(y));
        session.queue().read(y, [&answers](const void*, core::FailurePtr) { ++answers; });
        ++asked;
        if (i % 3 == 0) session.queue().flush();
      }
      if (!*fault) session.read(x);  // the queue has committed all of it
      survivor = y;
    }
    check(answers == asked,
          std::string("torn down with work in flight (") + fault + "): " + std::to_string(answers) + " of 20 reads answered");
    // The last owner of the device, on another thread.
    std::thread([tensor = std::move(survivor)] {}).join();
    softmetal_reset();
    if (std::string(fault) == "fail_commit") forgetUnwrittenReads();
  }
}

void lastOwnerInHandler() {
  auto session = std::make_unique<Session>();
  std::promise<void> done;
  Tensor y = session->run(relu(session->upload({1, -1}, {2})));
  softmetal_set("completion_delay", 2000);
  auto kept = std::make_shared<Tensor>(y);
  session->queue().read(y, [kept, &done](const void*, core::FailurePtr) mutable {
    kept.reset();
    done.set_value();
  });
  kept.reset();
  y = {};
  session->queue().flush();
  session.reset();
  done.get_future().get();
  softmetal_reset();
}

void twoWorkers() {
  std::vector<std::thread> workers;
  std::atomic<int> right = 0;
  for (uint32_t worker = 0; worker < 3; ++worker) {
    workers.emplace_back([worker, &right] {
      Session session;
      for (int round = 0; round < 15; ++round) {
        const std::vector<float> x = noise(200 + 8 * round, worker);
        Tensor y = session.upload(x, {static_cast<int64_t>(x.size())});
        for (int i = 0; i < 4; ++i) {
          core::ArithmeticOp op;
          op.a = op.b = y;
          y = session.run(op);
        }
        const std::vector<float> got = session.read(y);
        bool same = got.size() == x.size();
        for (size_t i = 0; same && i < x.size(); ++i) same = got[i] == 16 * x[i];
        right += same;
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  check(right == 45, "three workers on one device: " + std::to_string(right) + " of 45 right");
}

}  // namespace

void lifetime() {
  encoding();
  matrixProducts();
  boundedFlight();
  memory();
  teardown();
  lastOwnerInHandler();
  twoWorkers();
}

}  // namespace metaltest
