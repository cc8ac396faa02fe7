#include <dlfcn.h>

#include "addon/arguments.h"
#include "addon/devices.h"
#include "addon/operations.h"
#include "metal/metal.h"

namespace weightnorm::addon {

Napi::Value throwError(Napi::Env env, const core::Error& error) {
  napi_throw(env, Environment::of(env).makeError(env, error));
  return Napi::Value();
}

namespace {

Napi::Object describe(Napi::Env env, const core::DeviceInfo& info) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("type", info.type);
  object.Set("name", info.name);
  if (!info.reason.empty()) object.Set("reason", info.reason);
  object.Set("simulated", info.simulated);
  object.Set("unifiedMemory", info.unifiedMemory);
  object.Set("memoryBytes", static_cast<double>(info.memoryBytes));
  Napi::Array features = Napi::Array::New(env, info.features.size());
  for (uint32_t i = 0; i < info.features.size(); ++i) features.Set(i, info.features[i]);
  object.Set("features", features);
  return object;
}

Napi::Value setErrorClass(const Napi::CallbackInfo& info) {
  Environment::of(info.Env()).setErrorClass(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

Napi::Value list(const Napi::CallbackInfo& info) {
  const std::vector<ListedDevice> devices = listDevices();
  Napi::Array result = Napi::Array::New(info.Env(), devices.size());
  for (uint32_t i = 0; i < devices.size(); ++i) {
    Napi::Object device = describe(info.Env(), devices[i].info);
    device.Set("available", devices[i].available);
    result.Set(i, device);
  }
  return result;
}

Napi::Value openQueue(const Napi::CallbackInfo& info) {
  return makeQueueHandle(info.Env(), Environment::of(info.Env()).queue(info[0].ToString()));
}

Napi::Value deviceInfo(const Napi::CallbackInfo& info) {
  return describe(info.Env(), live(*queueOf(info[0])).device().info());
}

Napi::Value memory(const Napi::CallbackInfo& info) {
  const auto queue = queueOf(info[0]);
  core::Device& device = live(*queue).device();
  const core::Budget::Figures figures = device.budget().figures();
  Napi::Object object = Napi::Object::New(info.Env());
  object.Set("liveBytes", static_cast<double>(figures.live));
  object.Set("cachedBytes", static_cast<double>(device.cachedBytes()));
  object.Set("peakBytes", static_cast<double>(figures.peak));
  object.Set("tensors", static_cast<double>(queue->tensors));
  return object;
}

Napi::Value trim(const Napi::CallbackInfo& info) {
  live(*queueOf(info[0])).device().trim();
  return info.Env().Undefined();
}

Napi::Value flush(const Napi::CallbackInfo& info) {
  const auto queue = queueOf(info[0]);
  if (queue->queue) queue->queue->flush();
  return info.Env().Undefined();
}

Napi::Value synchronize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  core::Queue& queue = live(*queueOf(info[0]));
  const auto completions = Environment::of(env).completions();
  const auto pending = completions->begin(env, Napi::ArrayBuffer());
  try {
    queue.synchronize([completions, pending](core::FailurePtr failure) { completions->settle(pending, nullptr, std::move(failure)); });
  } catch (...) {
    completions->abandon(pending);
    throw;
  }
  return Completions::promise(*pending);
}

// The Metal device of a queue; throws for any other.
core::Device& metalOf(Napi::Value value) {
  const auto queue = queueOf(value);
  if (queue->type != "metal") throw core::Error(core::Code::kDevice, "only a Metal device compiles kernels");
  return live(*queue).device();
}

Napi::Value compileRecords(const Napi::CallbackInfo& info) {
  const auto records = metal::compileRecords(metalOf(info[0]));
  Napi::Array result = Napi::Array::New(info.Env(), records.size());
  for (uint32_t i = 0; i < records.size(); ++i) {
    Napi::Object record = Napi::Object::New(info.Env());
    record.Set("library", records[i].library);
    record.Set("function", records[i].function);
    record.Set("constants", records[i].constants);
    record.Set("milliseconds", records[i].milliseconds);
    result.Set(i, record);
  }
  return result;
}

Napi::Value kernelFunctions(const Napi::CallbackInfo& info) {
  const auto kernels = metal::kernelFunctions(metalOf(info[0]));
  Napi::Array result = Napi::Array::New(info.Env(), kernels.size());
  for (uint32_t i = 0; i < kernels.size(); ++i) result.Set(i, kernels[i].library + "/" + kernels[i].function);
  return result;
}

// Threads of a queue outlive the environment that loaded the library by a moment, so its image must stay mapped.
void stayMapped() {
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&stayMapped), &self) && self.dli_fname) dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE | RTLD_NOLOAD);
}

#if !defined(__has_feature)
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
constexpr const char* kSanitizer = "address";
#elif defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
constexpr const char* kSanitizer = "thread";
#elif __has_feature(undefined_behavior_sanitizer)
constexpr const char* kSanitizer = "undefined";
#else
constexpr const char* kSanitizer = "";
#endif

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  stayMapped();
  env.SetInstanceData<Environment>(new Environment(env));
  Napi::Object build = Napi::Object::New(env);
  build.Set("compiler", __VERSION__);
#ifdef WEIGHTNORM_METAL
  build.Set("metal", true);
#else
  build.Set("metal", false);
#endif
  const metal::SourceHashes hashes = metal::sourceHashes();
  build.Set("kernels", hashes.kernels);
  build.Set("host", hashes.host);
  build.Set("sanitizer", kSanitizer);
  exports.Set("build", build);
  exports.Set("description", Environment::of(env).description());
  exports.Set("convNumbers", Environment::of(env).convNumbers());
  expose<setErrorClass>(exports, "setErrorClass");
  expose<list>(exports, "listDevices");
  expose<openQueue>(exports, "openQueue");
  expose<deviceInfo>(exports, "deviceInfo");
  expose<memory>(exports, "memory");
  expose<trim>(exports, "trim");
  expose<flush>(exports, "flush");
  expose<synchronize>(exports, "synchronize");
  expose<compileRecords>(exports, "compileRecords");
  expose<kernelFunctions>(exports, "kernelFunctions");
  registerTensors(exports);
  registerNorms(exports);
  registerLayers(exports);
  registerStreams(exports);
  registerElementwise(exports);
  return exports;
}

}  // namespace
}  // namespace weightnorm::addon

using weightnorm::addon::initialize;
NODE_API_MODULE(weightnorm, initialize)
