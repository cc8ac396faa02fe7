#include "cpu/nest_tasks.h"

#include <algorithm>

namespace weightnorm::cpu {

namespace {

using Range = NestPlan::Range;

// Reduced axes shorter than this, or kept ones, are made wider for the kernels by spreading per-index numbers.
constexpr int64_t kShortAxis = 64;
constexpr int64_t kSpread = 4096;
// Rows that are summed and written one by one, and what a thread may reach quickly: its caches and a share of the common one.
constexpr int64_t kLeastRow = 16, kMostRow = 4096;
constexpr uint64_t kNearBytes = uint64_t{16} << 20;

int64_t length(const Range& range) {
  return range.end - range.begin;
}

// How a task's inner axes are handed to kernels.
enum class Shape {
  kPlain,     // two axes, one block
  kFolded,    // [reduced, few kept]: several rows side by side
  kInterior,  // [reduced, kept, few reduced]: the last two as one row
};

// A task seen as a loop over blocks of its inner axes.
class Walk {
 public:
  Walk(const NestPlan& plan, const NestPlan::Task& task) : plan_(plan), task_(task), last_(plan.count() - 1) {
    int64_t stride = 1;
    for (int i = last_; i >= 0; --i) {
      if (plan.axis(i).reduced) continue;
      keptStride_[static_cast<size_t>(i)] = stride;
      stride *= length(range(i));
    }
    if (isReduced(last_)) {
      const bool whole = length(range(last_)) == plan.axis(last_).size;
      if (last_ >= 2 && whole && plan.axis(last_).size < kShortAxis) shape_ = Shape::kInterior;
    } else if (length(range(last_)) < kShortAxis / 2 && plan.axis(last_ - 1).stride == length(range(last_)) &&
               length(range(last_ - 1)) > 1) {
      shape_ = Shape::kFolded;
    }
  }

  Shape shape() const { return shape_; }
  Leaf leaf() const { return isReduced(last_) ? Leaf::kRows : Leaf::kColumns; }
  // Rows put side by side when folded.
  int64_t fold() const { return std::min(kShortAxis / length(range(last_)), length(range(last_ - 1))); }
  int64_t lastLength() const { return length(range(last_)); }
  int64_t keptLength() const { return length(range(last_ - 1)); }

  // Calls visit(block, kept) for each innermost block; `kept` is its first kept index, counted from the task's.
  template <class Visit>
  void each(const Visit& visit) const {
    const int inner = shape_ == Shape::kInterior ? last_ - 2 : last_ - 1;
    std::array<int64_t, core::kMaxRank + 1> at{};
    int64_t offset = 0, kept = 0;
    for (int i = 0; i <= last_; ++i) offset += range(i).begin * plan_.axis(i).stride;
    const Block block = inner == last_ - 2 ? Block{0, length(range(inner)), plan_.axis(inner).stride, keptLength() * lastLength()}
                                           : Block{0, length(range(inner)), plan_.axis(inner).stride, lastLength()};
    for (;;) {
      visit(Block{offset, block.rows, block.stride, block.length}, kept);
      int i = inner - 1;
      for (; i >= 0; --i) {
        const size_t axis = static_cast<size_t>(i);
        offset += plan_.axis(i).stride;
        kept += keptStride_[axis];
        if (++at[axis] < length(range(i))) break;
        offset -= at[axis] * plan_.axis(i).stride;
        kept -= at[axis] * keptStride_[axis];
        at[axis] = 0;
      }
      if (i < 0) return;
    }
  }

 private:
  const Range& range(int i) const { return task_.ranges[static_cast<size_t>(i)]; }
  bool isReduced(int i) const { return plan_.axis(i).reduced; }

  const NestPlan& plan_;
  const NestPlan::Task& task_;
  int last_;
  Shape shape_ = Shape::kPlain;
  std::array<int64_t, core::kMaxRank + 1> keptStride_{};  // 0 for reduced axes
};

// Calls visit(block, kept, count) for pieces of an interior block that cover `count` kept indices each.
template <class Visit>
void eachPiece(const Block& block, int64_t kept, int64_t keptLength, int64_t shortLength, const Visit& visit) {
  const int64_t step = kSpread / shortLength;
  for (int64_t k = 0; k < keptLength; k += step) {
    const int64_t count = std::min(step, keptLength - k);
    visit(Block{block.offset + k * shortLength, block.rows, block.stride, count * shortLength}, kept + k, count);
  }
}

// Splits a folded block into its rows side by side and the rows left over.
struct Folded {
  Block wide, rest;
};
Folded foldBlock(const Block& block, int64_t fold) {
  const int64_t rows = block.rows / fold;
  return {{block.offset, rows, fold * block.stride, fold * block.length},
          {block.offset + rows * fold * block.stride, block.rows - rows * fold, block.stride, block.length}};
}

void addRepeats(const double* spread, int64_t fold, int64_t length, double* sums) {
  for (int64_t copy = 0; copy < fold; ++copy) {
    for (int64_t k = 0; k < length; ++k) sums[k] += spread[copy * length + k];
  }
}
// Coefficients spread over the elements of a row.
struct Spread {
  float s[kSpread + Scratch<float>::kPadding];
  double a[kSpread + Scratch<double>::kPadding], b[kSpread + Scratch<double>::kPadding];

  // Each of `count` numbers `inner` times.
  Coefficients runs(const Coefficients& by, int64_t kept, int64_t count, int64_t inner) {
    const NormKernels& kernels = get_normKernels();
    if (by.s) kernels.spreadFloats(by.s + kept, count, inner, s);
    if (by.a) kernels.spreadDoubles(by.a + kept, count, inner, a);
    if (by.b) kernels.spreadDoubles(by.b + kept, count, inner, b);
    return {s, a, b};
  }
  // All of `count` numbers `times` times.
  Coefficients repeats(const Coefficients& by, int64_t kept, int64_t count, int64_t times) {
    const NormKernels& kernels = get_normKernels();
    if (by.s) kernels.repeatFloats(by.s + kept, count, times, s);
    if (by.a) kernels.repeatDoubles(by.a + kept, count, times, a);
    if (by.b) kernels.repeatDoubles(by.b + kept, count, times, b);
    return {s, a, b};
  }
};

Coefficients advance(const Coefficients& by, int64_t kept) {
  return {by.s ? by.s + kept : nullptr, by.a ? by.a + kept : nullptr, by.b ? by.b + kept : nullptr};
}

}  // namespace

void sumTask(const NestPlan& plan, const NestPlan::Task& task, Term term, const NestInput& input, double* first, double* second) {
  const bool both = term == Term::kSquareAndProduct;
  std::fill_n(first, task.keptCount, 0.0);
  if (both) std::fill_n(second, task.keptCount, 0.0);
  const Walk walk(plan, task);
  const auto& table = get_normKernels().sum[static_cast<size_t>(term)];
  const size_t dtype = static_cast<size_t>(input.dtype);
  const NormKernels::Sum columns = table[static_cast<size_t>(Leaf::kColumns)][dtype];
  double spreadFirst[kSpread], spreadSecond[kSpread];

  if (walk.shape() == Shape::kPlain) {
    const NormKernels::Sum sum = table[static_cast<size_t>(walk.leaf())][dtype];
    walk.each([&](Block block, int64_t kept) {
      block.fetch = input.fetch;
      sum(input.v, input.gradW, block, first + kept, both ? second + kept : nullptr);
    });
  } else if (walk.shape() == Shape::kFolded) {
    const int64_t fold = walk.fold();
    walk.each([&](const Block& block, int64_t kept) {
      if (block.rows < 2 * fold) return columns(input.v, input.gradW, block, first + kept, both ? second + kept : nullptr);
      const Folded folded = foldBlock(block, fold);
      std::fill_n(spreadFirst, folded.wide.length, 0.0);
      if (both) std::fill_n(spreadSecond, folded.wide.length, 0.0);
      columns(input.v, input.gradW, folded.wide, spreadFirst, spreadSecond);
      addRepeats(spreadFirst, fold, block.length, first + kept);
      if (both) addRepeats(spreadSecond, fold, block.length, second + kept);
      columns(input.v, input.gradW, folded.rest, first + kept, both ? second + kept : nullptr);
    });
  } else {
    const int64_t inner = walk.lastLength();
    walk.each([&](const Block& block, int64_t kept) {
      eachPiece(block, kept, walk.keptLength(), inner, [&](const Block& piece, int64_t k, int64_t count) {
        std::fill_n(spreadFirst, piece.length, 0.0);
        if (both) std::fill_n(spreadSecond, piece.length, 0.0);
        columns(input.v, input.gradW, piece, spreadFirst, spreadSecond);
        get_normKernels().addRuns(spreadFirst, count, inner, first + k);
        if (both) get_normKernels().addRuns(spreadSecond, count, inner, second + k);
      });
    });
  }
}

void writeTask(const NestPlan& plan, const NestPlan::Task& task, Apply apply, const NestInput& input, void* out, const Coefficients& by,
               Stores stores) {
  const Walk walk(plan, task);
  const auto& table = get_normKernels().write[static_cast<size_t>(apply)];
  const size_t dtype = static_cast<size_t>(input.dtype);
  const NormKernels::Write columns = table[static_cast<size_t>(Leaf::kColumns)][dtype];

  if (walk.shape() == Shape::kPlain) {
    const NormKernels::Write write = table[static_cast<size_t>(walk.leaf())][dtype];
    walk.each([&](const Block& block, int64_t kept) { write(input.v, input.gradW, out, block, advance(by, kept), stores); });
    return;
  }
  Spread spread;
  if (walk.shape() == Shape::kFolded) {
    walk.each([&](const Block& block, int64_t kept) {
      const Folded folded = foldBlock(block, walk.fold());
      const Coefficients wide = spread.repeats(by, kept, block.length, walk.fold());
      columns(input.v, input.gradW, out, folded.wide, wide, stores);
      columns(input.v, input.gradW, out, folded.rest, wide, stores);
    });
  } else {
    walk.each([&](const Block& block, int64_t kept) {
      eachPiece(block, kept, walk.keptLength(), walk.lastLength(), [&](const Block& piece, int64_t k, int64_t count) {
        columns(input.v, input.gradW, out, piece, spread.runs(by, k, count, walk.lastLength()), stores);
      });
    });
  }
}

bool streams(uint64_t bytes, int threads) {
  return bytes >= kNearBytes + (static_cast<uint64_t>(std::min(threads, 16)) << 20);
}

const void* fetchable(const void* out, uint64_t bytes, int threads) {
  return !streams(bytes, threads) && bytes >= static_cast<uint64_t>(threads) << 20 ? out : nullptr;
}

bool rowsInCache(const NestPlan& plan, uint64_t bytes, int tensors, int threads) {
  return plan.wholeRows() && plan.reduced() >= kLeastRow && plan.reduced() <= kMostRow &&
         bytes * static_cast<uint64_t>(tensors) <= static_cast<uint64_t>(threads) * kNearBytes;
}

NestSums::NestSums(const NestPlan& plan, Term term)
    : plan_(plan),
      term_(term),
      first_(plan.kept() * plan.reducedBlocks()),
      second_(term == Term::kSquareAndProduct ? plan.kept() * plan.reducedBlocks() : 0) {}

void NestSums::sum(const NestPlan::Task& task, const NestInput& input) {
  const int64_t at = task.reducedBlock * plan_.kept() + task.keptBegin;
  sumTask(plan_, task, term_, input, first_.at(at), term_ == Term::kSquareAndProduct ? second_.at(at) : nullptr);
}

void NestSums::combine(Scratch<double>& sums, int64_t begin, int64_t end) {
  double* const total = sums.at(0);
  for (int64_t block = 1; block < plan_.reducedBlocks(); ++block) {
    const double* const part = sums.at(block * plan_.kept());
    for (int64_t k = begin; k < end; ++k) total[k] += part[k];
  }
}

void NestSums::combine(int64_t begin, int64_t end) {
  combine(first_, begin, end);
  if (term_ == Term::kSquareAndProduct) combine(second_, begin, end);
}

}  // namespace weightnorm::cpu
