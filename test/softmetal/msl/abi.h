// Contract between a compiled kernel library and the executor. Plain C++14: included by both.
#pragma once

enum SmArgumentKind {
  kSmBuffer,
  kSmThreadgroupMemory,
  kSmThreadPositionInGrid,
  kSmThreadPositionInThreadgroup,
  kSmThreadgroupPositionInGrid,
  kSmThreadsPerThreadgroup,
  kSmThreadgroupsPerGrid,
  kSmThreadsPerGrid,
  kSmDispatchThreadsPerThreadgroup,
  kSmThreadIndexInThreadgroup,
  kSmSimdgroupIndexInThreadgroup,
  kSmThreadIndexInSimdgroup,
  kSmSimdgroupsPerThreadgroup,
  kSmThreadsPerSimdgroup,
};

// What the attributes of a kernel's parameters read, for one thread: three words each for the first seven, then one.
struct SmContext {
  unsigned threadPositionInGrid[3], threadPositionInThreadgroup[3], threadgroupPositionInGrid[3], threadsPerThreadgroup[3],
      threadgroupsPerGrid[3], threadsPerGrid[3], dispatchThreadsPerThreadgroup[3];
  unsigned threadIndexInThreadgroup, simdgroupIndexInThreadgroup, threadIndexInSimdgroup, simdgroupsPerThreadgroup, threadsPerSimdgroup;
};

struct SmAttribute {
  int kind, index;
};

// A parameter as the C++ type system sees it. Size and alignment are those of what a pointer or reference refers to.
struct SmParameter {
  unsigned char isPointer, isReference, isConst;
  unsigned size, alignment;
};

struct SmKernel {
  const char* name;
  void (*function)();                                            // the kernel itself, to find its symbol
  void (*run)(void* const* bindings, const SmContext* context);  // bindings: 31 buffers, then 31 threadgroup arguments
  const SmAttribute* attributes;
  const SmParameter* parameters;
  const char* const* parameterNames;
  int parameterCount;
  unsigned maxThreads;   // [[max_total_threads_per_threadgroup]], or 0
  const int* constants;  // positions in sm_constants of the function constants it uses, ended by -1
};

struct SmConstant {
  const char* name;
  int index;
  unsigned size;
  int type;       // MTLDataType
  bool optional;  // the source asks is_function_constant_defined
};

enum SmAccessFlags { kSmRead = 0, kSmWrite = 1, kSmAtomic = 2, kSmUnaligned = 4 };
enum { kSmBufferCount = 31, kSmBindingCount = 62, kSmSimdWidth = 32, kSmSlotBytes = 64 };

// Runs once all lanes of a simdgroup have arrived: slots holds each lane's value at a distance of stride bytes and takes its
// result. A lane's slot does not move between operations: others may still have to fetch theirs when it stores its next value.
typedef void (*SmCombine)(void* slots, unsigned stride, const unsigned* arguments, unsigned activeLanes);

// Exported by the executor's library; kernel libraries are linked against it.
extern "C" {
void softmetal_kernel_barrier(int isThreadgroup, int memoryFlags, const void* site);
void softmetal_kernel_collective(void* value, unsigned size, unsigned argument, SmCombine combine, const void* site);
[[noreturn]] void softmetal_kernel_index(const void* site);  // an index beyond a private or threadgroup array
void softmetal_kernel_access(const void* address, unsigned long size, unsigned flags, const void* site);
// An access on behalf of the whole simdgroup, from inside a combine function.
void softmetal_kernel_simdgroup_access(const void* address, unsigned long size, unsigned flags);
void softmetal_kernel_count_flops(unsigned long count);
[[noreturn]] void softmetal_kernel_fail(const char* message);  // from inside a combine function
bool softmetal_kernel_constant(int index, void* value, unsigned size);
}
