// A small test runner: TEST(name) { … } registers a case; CHECK and CHECK_EQUAL record failures; FATAL_TEST runs in a process of its own,
// which must end with the given message.
#pragma once
#include <functional>
#include <sstream>
#include <string>

namespace harness {

void add(const std::string& name, std::function<void()> body, const std::string& fatalMessage = "");
void fail(const char* file, int line, const std::string& message);
int runAll(int argc, char** argv);

struct Registration {
  Registration(const char* name, void (*body)(), const char* fatalMessage = "") { add(name, body, fatalMessage); }
};

template <class A, class B>
void checkEqual(const char* file, int line, const char* text, const A& got, const B& wanted) {
  if (got == wanted) return;
  std::ostringstream message;
  message << text << " is " << got << ", not " << wanted;
  fail(file, line, message.str());
}
inline void checkContains(const char* file, int line, const std::string& got, const std::string& wanted) {
  if (wanted.empty() ? !got.empty() : got.find(wanted) == std::string::npos)
    fail(file, line, "expected \"" + wanted + "\" in \"" + got + "\"");
}

}  // namespace harness

#define TEST(name)                                             \
  static void name();                                          \
  static harness::Registration registered_##name(#name, name); \
  static void name()
#define FATAL_TEST(name, message)                                       \
  static void name();                                                   \
  static harness::Registration registered_##name(#name, name, message); \
  static void name()
#define CHECK(condition) ((condition) ? void() : harness::fail(__FILE__, __LINE__, #condition))
#define CHECK_EQUAL(got, wanted) harness::checkEqual(__FILE__, __LINE__, #got, got, wanted)
// An empty text means that nothing at all must have been reported.
#define CHECK_CONTAINS(got, wanted) harness::checkContains(__FILE__, __LINE__, got, wanted)
