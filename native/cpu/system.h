#pragma once

#include <cstdint>
#include <string>

namespace weightnorm::cpu {

// Cores worth a compute thread: the performance cores, within the affinity mask and the cgroup's quota. At least 1.
int performanceCores();

// Bytes this process may use: physical memory within the cgroup's limit.
uint64_t usableMemory();

// The processor's model name, or the architecture where the system does not tell.
std::string processorName();

}  // namespace weightnorm::cpu
