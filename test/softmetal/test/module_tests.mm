// Modules with Objective-C code that come and go, as an add-on does with its environment.
#import <Foundation/Foundation.h>

#include <dlfcn.h>
#include <sys/wait.h>

#include <filesystem>

#include "gpu.h"

TEST(modules_load_unload_and_load_again) {
  const std::string path = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "plugin.so";
  for (int round = 0; round < 3; round++) {
    void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!module) return harness::fail(__FILE__, __LINE__, dlerror());
    CHECK(NSClassFromString(@"PluginObject") != Nil && [@"" respondsToSelector:sel_registerName("pluginLength")]);
    CHECK_EQUAL(reinterpret_cast<int (*)()>(dlsym(module, "pluginAnswer"))(), 144);
    CHECK_EQUAL(dlclose(module), 0);
    CHECK(NSClassFromString(@"PluginObject") == Nil && ![@"" respondsToSelector:sel_registerName("pluginLength")]);
  }
}

// Run in a process of its own by the next test: leaves while a kernel runs and a command buffer hangs.
FATAL_TEST(leave_with_work_in_flight, "leaving") {
  @autoreleasepool {
    const char* source = "kernel void spin(device float* a [[buffer(0)]], uint i [[thread_position_in_grid]]) { for (int k = 0; k < 20000; "
                         "k++) a[i] += 1; }";
    id<MTLComputePipelineState> pipeline = gpu::pipeline(source, "spin");
    softmetal_set("hang", 2);
    for (int q = 0; q < 2; q++) {
      id<MTLCommandBuffer> commands = [[gpu::device() newCommandQueue] commandBuffer];
      id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
      [encoder setComputePipelineState:pipeline];
      [encoder setBuffer:gpu::buffer(std::vector<float>(4096)) offset:0 atIndex:0];
      [encoder dispatchThreads:MTLSizeMake(4096, 1, 1) threadsPerThreadgroup:MTLSizeMake(32, 1, 1)];
      [encoder endEncoding];
      [commands addCompletedHandler:^(id<MTLCommandBuffer> buffer) {
        (void)buffer.label.UTF8String;
      }];
      [commands commit];
    }
  }
  fputs("leaving\n", stderr);
  exit(3);
}
TEST(a_process_may_end_with_work_in_flight) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const int status = system((self + " --in-process leave_with_work_in_flight 2>/dev/null").c_str());
  CHECK(WIFEXITED(status));
  CHECK_EQUAL(WEXITSTATUS(status), 3);
}
