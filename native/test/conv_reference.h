#pragma once

#include "cpu/conv_kernels.h"
#include "testing.h"

// Convolutions in float64, element by element.
namespace testing {

// Axis 0 to 3 of [N, C, H, W], a 1-D tensor having H = 1.
inline int64_t dim(const core::Tensor& t, int axis) {
  if (t.shape.rank() == 4) return t.shape[axis];
  return axis < 2 ? t.shape[axis] : axis == 2 ? 1 : t.shape[2];
}

inline std::vector<double> optional(const core::Tensor& t) {
  return t ? values(t) : std::vector<double>{};
}
inline double pick(const std::vector<double>& v, int64_t i, double absent) {
  return v.empty() ? absent : v.size() == 1 ? v[0] : v[static_cast<size_t>(i)];
}

// The sums of every output element, before scale and bias.
inline std::vector<double> referenceSums(const core::ConvOp& op) {
  const int64_t N = dim(op.x, 0), C = dim(op.x, 1), H = dim(op.x, 2), W = dim(op.x, 3);
  const int64_t O = dim(op.y, 1), OH = dim(op.y, 2), OW = dim(op.y, 3);
  const int64_t KH = dim(op.weight, 2), KW = dim(op.weight, 3), G = op.groups, Cg = C / G, Og = O / G;
  std::vector<double> x = values(op.x), sums(static_cast<size_t>(op.y.size()), 0.0);
  const std::vector<double> w = values(op.weight), alpha = optional(op.pre.alpha), scale = optional(op.scale);
  for (int64_t i = 0; i < op.x.size(); ++i) {
    const int64_t c = i / (H * W) % C;
    double& v = x[static_cast<size_t>(i)];
    v = applyActivation(op.pre, v, pick(alpha, c, 1));
    if (op.scalePerInput) v *= pick(scale, c, 1);
  }
  for (int64_t n = 0; n < N; ++n)
    for (int64_t g = 0; g < G; ++g)
      for (int64_t o = 0; o < Og; ++o)
        for (int64_t c = 0; c < Cg; ++c)
          for (int64_t kh = 0; kh < KH; ++kh)
            for (int64_t kw = 0; kw < KW; ++kw) {
              const int64_t wi =
                  op.transposed ? (((g * Cg + c) * Og + o) * KH + kh) * KW + kw : (((g * Og + o) * Cg + c) * KH + kh) * KW + kw;
              const double weight = w[static_cast<size_t>(wi)];
              const double* xp = x.data() + (n * C + g * Cg + c) * H * W;
              double* yp = sums.data() + (n * O + g * Og + o) * OH * OW;
              if (op.transposed) {
                for (int64_t h = 0; h < H; ++h)
                  for (int64_t v = 0; v < W; ++v) {
                    const int64_t oh = h * op.stride[0] + kh * op.dilation[0] - op.padBegin[0];
                    const int64_t ow = v * op.stride[1] + kw * op.dilation[1] - op.padBegin[1];
                    if (oh >= 0 && oh < OH && ow >= 0 && ow < OW) yp[oh * OW + ow] += weight * xp[h * W + v];
                  }
                continue;
              }
              for (int64_t oh = 0; oh < OH; ++oh)
                for (int64_t ow = 0; ow < OW; ++ow) {
                  const int64_t h = cpu::paddedIndex(op.padMode, oh * op.stride[0] + kh * op.dilation[0] - op.padBegin[0], H);
                  const int64_t v = cpu::paddedIndex(op.padMode, ow * op.stride[1] + kw * op.dilation[1] - op.padBegin[1], W);
                  if (h >= 0 && v >= 0) yp[oh * OW + ow] += weight * xp[h * W + v];
                }
            }
  return sums;
}

// Every output element, with everything a convolution fuses.
inline std::vector<double> reference(const core::ConvOp& op) {
  std::vector<double> y = referenceSums(op);
  const int64_t O = dim(op.y, 1), image = dim(op.y, 2) * dim(op.y, 3);
  const std::vector<double> scale = optional(op.scale), bias = optional(op.bias), residual = optional(op.residual),
                            running = optional(op.running), alpha = optional(op.post.alpha);
  for (size_t i = 0; i < y.size(); ++i) {
    const int64_t o = static_cast<int64_t>(i) / image % O;
    double v = y[i] * (op.scalePerInput ? 1 : pick(scale, o, 1)) + pick(bias, o, 0);
    if (!residual.empty()) v += residual[i];
    if (!running.empty()) v += running[i];
    y[i] = applyActivation(op.post, v * static_cast<double>(op.outScale), pick(alpha, o, 1));
  }
  return y;
}

}  // namespace testing
