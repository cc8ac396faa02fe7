#pragma once

#include <napi.h>

#include <new>

#include "core/error.h"

namespace weightnorm::addon {

// Adds the functions of each topic to the add-on's exports.
void registerTensors(Napi::Object exports);      // upload, fill, read, write, views, transfers
void registerNorms(Napi::Object exports);        // weightNorm, weightNormBackward, norm, scales
void registerLayers(Napi::Object exports);       // conv, linear, matmul
void registerStreams(Napi::Object exports);      // stream
void registerElementwise(Napi::Object exports);  // activation, arithmetic, reduce, shapes, casts

using Function = Napi::Value (*)(const Napi::CallbackInfo& info);

// Exports `Body` under `name`; a core::Error it throws becomes a WeightNormError.
Napi::Value throwError(Napi::Env env, const core::Error& error);

template <Function Body>
Napi::Value guarded(const Napi::CallbackInfo& info) {
  try {
    return Body(info);
  } catch (const core::Error& error) {
    return throwError(info.Env(), error);
  } catch (const std::bad_alloc&) {
    return throwError(info.Env(), core::Error(core::Code::kMemory, "out of memory"));
  }
}

template <Function Body>
void expose(Napi::Object exports, const char* name) {
  exports.Set(name, Napi::Function::New<guarded<Body>>(exports.Env(), name));
}

}  // namespace weightnorm::addon
