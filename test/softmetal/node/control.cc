// control.h for JavaScript: lets specs set faults, and read counters and violations, of the software Metal in their process.
#include "softmetal/control.h"

#include <napi.h>

#include <algorithm>
#include <string>

namespace {

// The functions that fill a buffer return their full length, so the second call has room for all of it.
template <uint64_t (*Read)(char*, uint64_t)>
Napi::Value text(const Napi::CallbackInfo& info) {
  std::string buffer(size_t{1} << 20, '\0');
  const uint64_t length = Read(buffer.data(), buffer.size());
  buffer.resize(std::min<uint64_t>(length, buffer.size() - 1));
  return Napi::String::New(info.Env(), buffer);
}

Napi::Value set(const Napi::CallbackInfo& info) {
  const std::string name = info[0].ToString();
  if (softmetal_set(name.c_str(), info[1].ToNumber().Int64Value()) != 0) {
    throw Napi::Error::New(info.Env(), "the software Metal has no setting " + name);
  }
  return info.Env().Undefined();
}

Napi::Value reset(const Napi::CallbackInfo& info) {
  softmetal_reset();
  return info.Env().Undefined();
}

Napi::Value loseDevice(const Napi::CallbackInfo& info) {
  softmetal_lose_device(static_cast<long>(info[0].ToNumber().Int64Value()));
  return info.Env().Undefined();
}

Napi::Value releaseHang(const Napi::CallbackInfo& info) {
  softmetal_release_hang();
  return info.Env().Undefined();
}

Napi::Value resetCounters(const Napi::CallbackInfo& info) {
  softmetal_reset_counters();
  return info.Env().Undefined();
}

Napi::Value liveObjects(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(softmetal_live_objects()));
}

Napi::Value violationCount(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(softmetal_violation_count()));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("set", Napi::Function::New<set>(env));
  exports.Set("reset", Napi::Function::New<reset>(env));
  exports.Set("loseDevice", Napi::Function::New<loseDevice>(env));
  exports.Set("releaseHang", Napi::Function::New<releaseHang>(env));
  exports.Set("counters", Napi::Function::New<text<softmetal_counters_json>>(env));
  exports.Set("resetCounters", Napi::Function::New<resetCounters>(env));
  exports.Set("takeViolations", Napi::Function::New<text<softmetal_take_violations>>(env));
  exports.Set("violationCount", Napi::Function::New<violationCount>(env));
  exports.Set("liveObjects", Napi::Function::New<liveObjects>(env));
  exports.Set("liveObjectsByClass", Napi::Function::New<text<softmetal_live_objects_by_class>>(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(softmetal_control, initialize)
