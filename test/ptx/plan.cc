// The add-on's own choice of weight norm kernels (native/metal/norm_plan.cc) for plan.py: requests in, JSON out. No GPU, no Metal.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "metal/norm_plan.h"

using namespace weightnorm;

namespace {

std::string answer;

std::string hex(const void* data, size_t size) {
  std::string text;
  char digits[3];
  for (size_t i = 0; i < size; ++i) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<const unsigned char*>(data)[i]);
    text += digits;
  }
  return text;
}

const char* json(const metal::NormPlan& plan) {
  static const char* const kNames[] = {"v", "g", "w", "statistic", "gradW", "gradV", "gradG", "partial"};
  answer = "{\"partial\":" + std::to_string(plan.partialBytes) + ",\"dispatches\":[";
  for (const metal::NormDispatch& d : plan.dispatches) {
    if (answer.back() == '}') answer += ',';
    answer += "{\"library\":\"" + d.library + "\",\"kernel\":\"" + d.kernel + "\",\"buffers\":[";
    for (const metal::NormBuffer buffer : d.buffers) {
      if (answer.back() == '"') answer += ',';
      answer += std::string("\"") + kNames[static_cast<size_t>(buffer)] + '"';
    }
    const std::string value = std::visit([](const auto& params) { return hex(&params, sizeof params); }, d.params);
    answer += "],\"value\":\"" + value + "\",\"groups\":[" + std::to_string(d.groups[0]) + "," + std::to_string(d.groups[1]) +
              "],\"threads\":" + std::to_string(d.threads) + ",\"board\":" + std::to_string(d.board) + "}";
  }
  answer += "]}";
  return answer.c_str();
}

using Limit = uint32_t (*)(const char* library, const char* kernel);
metal::ThreadLimit limited(Limit limit) {
  return [limit](const std::string& library, const std::string& kernel) { return limit(library.c_str(), kernel.c_str()); };
}
metal::NormRule ruleOf(int gType, double eps, uint32_t output) {
  return metal::normRule(static_cast<core::DType>(gType), std::isnan(eps) ? std::nullopt : std::optional<double>(eps),
                         static_cast<metal::NormRule::Output>(output));
}

}  // namespace

// eps NaN: unset. The text lives until the next call.
extern "C" const char* plan_norm(const int64_t* shape, int rank, uint32_t reduce, int dtype, int gType, double eps, uint32_t output,
                                 Limit limit) {
  const core::Nest nest(core::Shape(shape, rank), reduce);
  return json(metal::planNorm(nest, static_cast<core::DType>(dtype), ruleOf(gType, eps, output), limited(limit)));
}
extern "C" const char* plan_backward(const int64_t* shape, int rank, uint32_t reduce, int dtype, int gType, double eps, Limit limit) {
  const core::Nest nest(core::Shape(shape, rank), reduce);
  return json(metal::planBackward(nest, static_cast<core::DType>(dtype), ruleOf(gType, eps, metal::NormRule::kWeight), limited(limit)));
}

// Each weight is five numbers: addresses of v, g and the scales, rows, columns.
extern "C" const char* plan_scales(const int64_t* weights, int count, int dtype, int gType, double eps, Limit limit) {
  std::vector<metal::ScaleWeight> list;
  for (int i = 0; i < count; ++i) {
    const int64_t* w = weights + 5 * i;
    list.push_back({static_cast<uint64_t>(w[0]), static_cast<uint64_t>(w[1]), static_cast<uint64_t>(w[2]), w[3], w[4]});
  }
  const metal::ScalePlan plan =
      metal::planScales(std::move(list), static_cast<core::DType>(dtype), ruleOf(gType, eps, metal::NormRule::kScale), limited(limit));
  answer = "{\"kernel\":\"" + plan.kernel + "\",\"groups\":" + std::to_string(plan.groups) +
           ",\"threads\":" + std::to_string(plan.threads) + ",\"value\":\"" + hex(&plan.params, sizeof plan.params) + "\"}";
  return answer.c_str();
}
