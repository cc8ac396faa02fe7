// Numbers from the environment against a definition that reads digit by digit.
#include "core/environment.h"

#include "../input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace fuzz;
  Input input(data, size);
  const auto least = static_cast<uint64_t>(input.number()), most = static_cast<uint64_t>(input.number());
  const std::string text = input.raw().ConsumeRemainingBytesAsString();
  bool good = !text.empty();
  unsigned __int128 value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') good = false;
    if (good && value <= UINT64_MAX) value = value * 10 + static_cast<unsigned>(c - '0');
  }
  good = good && value >= least && value <= most;
  const auto parsed = core::parseWhole(text, least, most);
  require(parsed.has_value() == good && (!good || *parsed == value), "parseWhole takes exactly the decimal numbers of its range");

  if (text.find('\0') != std::string::npos) return 0;
  const char* const name = "WEIGHTNORM_FUZZED";
  setenv(name, text.c_str(), 1);
  try {
    require(core::environmentWhole(name, "bytes", least, most) == (good ? parsed : std::nullopt) && (good || text.empty()),
            "a bad value throws");
  } catch (const core::Error& error) {
    require(!good && !text.empty() && error.code() == core::Code::kArgument, "only a bad value throws, ERR_ARGUMENT");
    require(std::string(error.what()).find(name) == 0, "the message names the variable");
  }
  return 0;
}
