#include "harness.h"

#import <Foundation/Foundation.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <vector>

#include "softmetal/control.h"

namespace harness {
namespace {

struct Case {
  std::string name;
  std::function<void()> body;
  std::string fatalMessage;
};
std::vector<Case>& cases() {
  static auto* all = new std::vector<Case>;
  return *all;
}
int failures = 0;  // in the running case

std::string outputOf(const std::string& command, int& status) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::string output;
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe));) output.append(buffer, n);
  status = pclose(pipe);
  return output;
}

void runInOwnProcess(const Case& test, const char* program) {
  int status = 0;
  const std::string output = outputOf(std::string(program) + " --in-process " + test.name, status);
  if (!status) fail(test.name.c_str(), 0, "the process ended without an error");
  if (output.find(test.fatalMessage) == std::string::npos)
    fail(test.name.c_str(), 0, "expected \"" + test.fatalMessage + "\" in \"" + output + "\"");
}

// A queue's thread lets go of a command buffer shortly after its waiters have gone on.
int64_t settledLiveObjects(int64_t wanted) {
  for (int i = 0; i < 200 && softmetal_live_objects() != wanted; i++) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return softmetal_live_objects();
}

// Every case must leave nothing alive, and no report that it did not ask for.
void runHere(const Case& test) {
  softmetal_reset();
  softmetal_set("abort_on_violation", 0);
  static const int64_t before = softmetal_live_objects();
  @autoreleasepool {
    test.body();
  }
  char text[4096];
  if (softmetal_take_violations(text, sizeof text)) fail(test.name.c_str(), 0, std::string("unexpected violation: ") + text);
  if (settledLiveObjects(before) != before) {
    softmetal_live_objects_by_class(text, sizeof text);
    fail(test.name.c_str(), 0, std::string("leaked objects; alive now: ") + text);
  }
}

}  // namespace

void add(const std::string& name, std::function<void()> body, const std::string& fatalMessage) {
  cases().push_back({name, std::move(body), fatalMessage});
}

void fail(const char* file, int line, const std::string& message) {
  failures++;
  printf("  %s:%d: %s\n", file, line, message.c_str());
}

int runAll(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const bool inProcess = argc > 2 && !strcmp(argv[1], "--in-process");
  const char* only = inProcess ? argv[2] : argc > 1 ? argv[1] : "";
  int passed = 0, failed = 0;
  for (const Case& test : cases()) {
    if (inProcess ? test.name != only : test.name.find(only) == std::string::npos) continue;
    if (inProcess) {
      test.body();
      return 0;
    }
    failures = 0;
    if (test.fatalMessage.empty())
      runHere(test);
    else
      runInOwnProcess(test, argv[0]);
    if (failures) printf("FAILED %s\n", test.name.c_str());
    (failures ? failed : passed)++;
  }
  printf("softmetal: %d passed, %d failed\n", passed, failed);
  return failed || !passed;
}

}  // namespace harness

int main(int argc, char** argv) {
  return harness::runAll(argc, argv);
}
