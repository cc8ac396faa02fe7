#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace weightnorm::core {

// Decimal digits and nothing else (no sign, space, fraction or exponent) as a number within [least, most]; else nothing.
std::optional<uint64_t> parseWhole(std::string_view text, uint64_t least, uint64_t most);

// The environment variable as a whole number within [least, most], counted in `unit` (for the message). Absent or empty
// gives nothing; anything else throws ERR_ARGUMENT. The one way in which numbers come from the environment.
std::optional<uint64_t> environmentWhole(const char* name, const char* unit, uint64_t least, uint64_t most);

}  // namespace weightnorm::core
