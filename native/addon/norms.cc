#include "addon/arguments.h"
#include "addon/operations.h"

namespace weightnorm::addon {

namespace {

uint32_t maskOf(Napi::Value value) {
  const int64_t mask = integerOf(value);
  if (mask < 0 || mask > 255) throw core::Error(core::Code::kArgument, "an axes mask has 8 bits");
  return static_cast<uint32_t>(mask);
}

// weightNorm(v, g, reduce, eps)
Napi::Value weightNorm(const Napi::CallbackInfo& info) {
  const TensorHandle& v = handleOf(info[0]);
  core::WeightNormOp op;
  op.v = v.tensor;
  op.g = handleOf(info[1]).tensor;
  op.reduce = maskOf(info[2]);
  op.eps = epsOf(info[3]);
  core::prepare(op);
  return submit(info.Env(), v.queue, std::move(op), &core::WeightNormOp::w);
}

// weightNormBackward(gradW, v, g, reduce, eps)
Napi::Value weightNormBackward(const Napi::CallbackInfo& info) {
  const TensorHandle& v = handleOf(info[1]);
  core::WeightNormBackwardOp op;
  op.gradW = handleOf(info[0]).tensor;
  op.v = v.tensor;
  op.g = handleOf(info[2]).tensor;
  op.reduce = maskOf(info[3]);
  op.eps = epsOf(info[4]);
  core::prepare(op);
  live(*v.queue).submit(op);
  Napi::Array result = Napi::Array::New(info.Env(), 2);
  result.Set(0u, makeHandle(info.Env(), op.gradV, v.queue));
  result.Set(1u, makeHandle(info.Env(), op.gradG, v.queue));
  return result;
}

// norm(v, reduce)
Napi::Value norm(const Napi::CallbackInfo& info) {
  const TensorHandle& v = handleOf(info[0]);
  core::NormOp op;
  op.v = v.tensor;
  op.reduce = maskOf(info[1]);
  core::prepare(op);
  return submit(info.Env(), v.queue, std::move(op), &core::NormOp::n);
}

// scales(v[], g[], reduce[], eps[])
Napi::Value scales(const Napi::CallbackInfo& info) {
  const Napi::Array v = info[0].As<Napi::Array>(), g = info[1].As<Napi::Array>();
  const Napi::Array reduce = info[2].As<Napi::Array>(), eps = info[3].As<Napi::Array>();
  core::ScaleOp op;
  for (uint32_t i = 0; i < v.Length(); ++i) {
    core::ScaleOp::Segment segment;
    segment.v = handleOf(v[i]).tensor;
    segment.g = handleOf(g[i]).tensor;
    segment.reduce = maskOf(reduce[i]);
    segment.eps = epsOf(eps[i]);
    op.segments.push_back(std::move(segment));
  }
  Napi::Array result = Napi::Array::New(info.Env(), op.segments.size());
  if (op.segments.empty()) return result;
  const auto queue = handleOf(v[0u]).queue;
  core::prepare(op);
  live(*queue).submit(op);
  for (uint32_t i = 0; i < op.segments.size(); ++i) result.Set(i, makeHandle(info.Env(), op.segments[i].scale, queue));
  return result;
}

}  // namespace

void registerNorms(Napi::Object exports) {
  expose<weightNorm>(exports, "weightNorm");
  expose<weightNormBackward>(exports, "weightNormBackward");
  expose<norm>(exports, "norm");
  expose<scales>(exports, "scales");
}

}  // namespace weightnorm::addon
