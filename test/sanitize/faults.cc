// Faults on purpose, loaded into node as the add-on is: what a sanitizer build must catch, or the check proves nothing.
#include <node_api.h>

#include <climits>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>

#include "cpu/cpu_device.h"

namespace {

volatile int four = 4;
volatile int sink;
int shared;

void overflow() {
  const std::unique_ptr<int[]> block(new int[4]);
  block[static_cast<size_t>(four)] = 1;
}

void freed() {
  int* block = new int[4];
  delete[] block;
  block[0] = four;
}

// Memory that our own allocator has taken back into its cache.
void recycled() {
  std::byte* data;
  {
    const auto buffer = weightnorm::cpu::cpuDevice()->allocate(1000);
    data = static_cast<weightnorm::cpu::CpuBuffer&>(*buffer).data();
  }
  data[0] = std::byte{1};
}

// Past what a kernel may read behind a tensor, inside the allocator's size class.
void slack() {
  const auto buffer = weightnorm::cpu::cpuDevice()->allocate(1000);
  sink = static_cast<int>(static_cast<weightnorm::cpu::CpuBuffer&>(*buffer).data()[1000 + 64]);
}

void undefined() {
  int most = INT_MAX - 3;
  most += four;
  sink = most;
}

// Several, since a stale copy of one pointer on the stack would hide that one.
void leak() {
  for (int i = 0; i < 8; ++i) sink = *new (std::nothrow) int[37]();
}

void race() {
  std::thread other([] {
    for (int i = 0; i < 1000; ++i) ++shared;
  });
  for (int i = 0; i < 1000; ++i) ++shared;
  other.join();
  sink = shared;
}

napi_value commit(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument, result;
  char name[32];
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_string_utf8(env, argument, name, sizeof name, nullptr);
  const std::pair<const char*, void (*)()> faults[] = {{"overflow", overflow},   {"freed", freed}, {"recycled", recycled}, {"slack", slack},
                                                       {"undefined", undefined}, {"leak", leak},   {"race", race}};
  bool known = false;
  for (const auto& [key, run] : faults) {
    if (std::strcmp(key, name) != 0) continue;
    run();
    known = true;
  }
  napi_get_boolean(env, known, &result);
  return result;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  napi_create_function(env, "commit", NAPI_AUTO_LENGTH, commit, nullptr, &function);
  napi_set_named_property(env, exports, "commit", function);
  return exports;
}
