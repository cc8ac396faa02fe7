// Modules with Objective-C code that come and go, as an add-on does with its environment.
#import <Foundation/Foundation.h>

#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>

#include "harness.h"

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
