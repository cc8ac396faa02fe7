// What tests may ask of the software Metal and make it do. Plain C; every function may be called from any thread.
// In an add-on: look the functions up with dlsym(RTLD_DEFAULT or the library's handle), so that the shipped code has no reference to them.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Sets one of the settings listed in the README ("fail_commit", "max_threads", ...). Returns 0, or -1 if the name is unknown.
int softmetal_set(const char* name, int64_t value);
// All settings back to what the environment says; a lost device is usable again; hung command buffers are released.
void softmetal_reset(void);
// What NSProcessInfo reports and what decides which calls exist: macOS 15.0.0 unless SOFTMETAL_OS_VERSION says otherwise.
void softmetal_set_os_version(long major, long minor, long patch);
// Everything committed from now on fails with this MTLCommandBufferError; 0 ends it.
void softmetal_lose_device(long code);
// Lets command buffers that "hang" held back fail with the time-out error.
void softmetal_release_hang(void);

// Rules broken since the process started, by the API's user or by a kernel.
uint64_t softmetal_violation_count(void);
// The messages not taken yet, one a line, which forgets them. Returns their full length; writes at most size bytes, ended by 0.
// Without a buffer nothing is taken and the result is 0.
uint64_t softmetal_take_violations(char* buffer, uint64_t size);

// Counters as JSON (see the README). Returns the full length; writes at most size bytes, ended by 0.
uint64_t softmetal_counters_json(char* buffer, uint64_t size);
void softmetal_reset_counters(void);

// Objective-C objects and heap blocks alive now; the names and counts, one a line, as above.
int64_t softmetal_live_objects(void);
uint64_t softmetal_live_objects_by_class(char* buffer, uint64_t size);

// Memory of a buffer (a pointer into its contents) as if it were new: poison, and uninitialised for the checker.
// Returns 0, or -1 if no buffer of the double is there.
int softmetal_renew(void* contents, uint64_t size);

#ifdef __cplusplus
}
#endif
