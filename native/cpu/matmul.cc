#include "cpu/matmul.h"

#include <algorithm>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/operands.h"
#include "cpu/simd/vec_table.h"

namespace weightnorm::cpu {

namespace {

// Which matrix of `operand` each matrix of y uses: leading axes of size 1, or absent, repeat.
std::vector<int64_t> matrixOf(const core::Shape& operand, const core::Shape& y) {
  const int lead = y.rank() - 2, missing = y.rank() - operand.rank();
  int64_t count = 1;
  for (int axis = 0; axis < lead; ++axis) count *= y[axis];
  std::vector<int64_t> indices(static_cast<size_t>(count));
  for (int64_t b = 0; b < count; ++b) {
    int64_t rest = b, index = 0, stride = 1;
    for (int axis = lead - 1; axis >= 0; --axis) {
      const int64_t at = rest % y[axis];
      rest /= y[axis];
      const int own = axis - missing;
      if (own < 0) continue;
      index += operand[own] == 1 ? 0 : at * stride;
      stride *= operand[own];
    }
    indices[static_cast<size_t>(b)] = index;
  }
  return indices;
}

struct Sizes {
  int64_t rows, columns, terms, matrices;  // matrices: of b
  size_t element;
};

// y = a · b with few columns: a's rows against b's columns, each of which is made contiguous.
void narrow(const core::MatmulOp& op, const Sizes& s, const std::vector<int64_t>& a, const std::vector<int64_t>& b, Pool& pool) {
  core::Device& device = op.y.storage->device();
  const int64_t size = s.columns * s.terms;
  const Scratch columns(device, 1, s.matrices * size);
  const Scratch line(device, 1, std::max(op.b.size(), int64_t{1}));
  get_vecTable().convert(bytesOf(op.b), op.b.dtype, line.of(0), core::DType::kFloat32, op.b.size());
  for (int64_t m = 0; m < s.matrices; ++m) {
    for (int64_t k = 0; k < s.terms; ++k) {
      for (int64_t j = 0; j < s.columns; ++j) columns.of(0)[m * size + j * s.terms + k] = line.of(0)[m * size + k * s.columns + j];
    }
  }
  // The products come out transposed, float32.
  const Scratch out(device, 1, op.y.size());
  FinishColumns finish{};
  finish.dtype = core::DType::kFloat32;
  std::vector<Gemv> jobs;
  for (size_t i = 0; i < a.size(); ++i) {
    jobs.push_back({columns.of(0) + b[i] * size, static_cast<int>(s.columns),
                    bytesOf(op.a) + static_cast<uint64_t>(a[i] * s.rows * s.terms) * s.element, op.a.dtype, s.rows, s.terms,
                    reinterpret_cast<std::byte*>(out.of(0) + static_cast<int64_t>(i) * s.rows * s.columns), finish});
  }
  gemv(jobs, device, pool);
  for (size_t i = 0; i < a.size(); ++i) {
    const float* from = out.of(0) + static_cast<int64_t>(i) * s.rows * s.columns;
    float* to = line.of(0);
    std::byte* y = dataOf<std::byte>(op.y) + static_cast<uint64_t>(static_cast<int64_t>(i) * s.rows * s.columns) * s.element;
    for (int64_t r = 0; r < s.rows; ++r) {
      for (int64_t j = 0; j < s.columns; ++j) to[j] = from[j * s.rows + r];
      get_vecTable().convert(to, core::DType::kFloat32, y + static_cast<uint64_t>(r * s.columns) * s.element, op.y.dtype, s.columns);
    }
  }
}

constexpr int64_t kSkinnyRows = 8;
constexpr int64_t kSkinnyColumns = 0x7fffffff / kSumBlock;

// Packs every matrix of b as panels, and multiplies; a few rows take b as it is.
void wide(const core::MatmulOp& op, const Sizes& s, const std::vector<int64_t>& a, const std::vector<int64_t>& b, Pool& pool) {
  core::Device& device = op.y.storage->device();
  if (s.rows <= kSkinnyRows && a.size() == 1 && op.b.dtype == core::DType::kFloat32 && s.columns < kSkinnyColumns) {
    const Gemm job{{{bytesOf(op.a), nullptr, dataOf<std::byte>(op.y)}}, s.rows, s.columns, s.terms, op.a.dtype, {}};
    return gemmSkinny(job, dataOf<const float>(op.b), device, pool);
  }
  const int64_t width = panelWidth(), panels = (s.columns + width - 1) / width, size = panelFloats(s.columns, s.terms);
  const Scratch packed(device, 1, s.matrices * size);
  // Tall panels are packed in pieces, so that one matrix occupies every thread.
  constexpr int64_t kTall = 1024;
  const int64_t pieces = (s.terms + kTall - 1) / kTall;
  pool.parallelFor(s.matrices * panels * pieces, [&](int64_t index, int) {
    const int64_t matrix = index / (panels * pieces), panel = index / pieces % panels, first = index % pieces * kTall;
    const int64_t column = panel * width;
    const std::byte* from = bytesOf(op.b) + static_cast<uint64_t>((matrix * s.terms + first) * s.columns + column) * s.element;
    get_gemmKernels().packPanel(from, op.b.dtype, s.columns, std::min(kTall, s.terms - first), std::min(width, s.columns - column),
                                packed.of(0) + matrix * size + (panel * s.terms + first) * width, width);
  });
  Gemm job{{}, s.rows, s.columns, s.terms, op.a.dtype, {}};
  for (size_t i = 0; i < a.size(); ++i) {
    job.products.push_back({bytesOf(op.a) + static_cast<uint64_t>(a[i] * s.rows * s.terms) * s.element, packed.of(0) + b[i] * size,
                            dataOf<std::byte>(op.y) + static_cast<uint64_t>(static_cast<int64_t>(i) * s.rows * s.columns) * s.element});
  }
  gemm(job, device, pool);
}

}  // namespace

void matmul(const core::MatmulOp& op, Pool& pool) {
  const core::Shape &a = op.a.shape, &b = op.b.shape, &y = op.y.shape;
  Sizes s{a[a.rank() - 2], b[b.rank() - 1], a[a.rank() - 1], 1, sizeOf(op.y.dtype)};
  s.matrices = b.size() / (s.terms * s.columns);
  std::vector<int64_t> ofA = matrixOf(a, y), ofB = matrixOf(b, y);
  if (s.matrices == 1 && a.size() == static_cast<int64_t>(ofA.size()) * s.rows * s.terms) {
    // One b for every a: the matrices of a are one tall matrix.
    s.rows *= static_cast<int64_t>(ofA.size());
    ofA = ofB = {0};
  }
  s.columns <= kDotRows ? narrow(op, s, ofA, ofB, pool) : wide(op, s, ofA, ofB, pool);
}

}  // namespace weightnorm::cpu
