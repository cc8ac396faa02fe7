#include "core/environment.h"

#include <charconv>
#include <cstdlib>

#include "core/error.h"

namespace weightnorm::core {

std::optional<uint64_t> parseWhole(std::string_view text, uint64_t least, uint64_t most) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end || value < least || value > most) return std::nullopt;
  return value;
}

std::optional<uint64_t> environmentWhole(const char* name, const char* unit, uint64_t least, uint64_t most) {
  const char* text = std::getenv(name);
  if (!text || !*text) return std::nullopt;
  const std::optional<uint64_t> value = parseWhole(text, least, most);
  if (!value) {
    throw Error(Code::kArgument, format("%s is '%.100s'; a whole number of %s from %llu to %llu is allowed", name, text, unit,
                                        static_cast<unsigned long long>(least), static_cast<unsigned long long>(most)));
  }
  return value;
}

}  // namespace weightnorm::core
