#pragma once

#include <memory>

#include "core/error.h"
#include "core/storage.h"
#include "cpu/nest_plan.h"
#include "cpu/norm_kernels.h"
#include "cpu/pool.h"

namespace weightnorm::cpu {

// Uninitialised numbers for one operation; throws ERR_MEMORY. Kernels read whole vectors of coefficients, so there are
// kPadding numbers more than asked for.
template <class T>
class Scratch {
 public:
  static constexpr int64_t kPadding = 32;
  explicit Scratch(int64_t count) : data_(new(std::nothrow) T[static_cast<size_t>(count + kPadding)]) {
    if (!data_) {
      throw core::Error(core::Code::kMemory, core::format("no memory for %lld bytes of intermediate sums",
                                                          static_cast<long long>(count) * static_cast<long long>(sizeof(T))));
    }
  }
  T* at(int64_t index) { return data_.get() + index; }

 private:
  std::unique_ptr<T[]> data_;
};

// The tensors of a nest: v (or x), and gradW for gradients; `fetch` is Block's.
struct NestInput {
  const void* v = nullptr;
  const void* gradW = nullptr;
  core::DType dtype = core::DType::kFloat32;
  const void* fetch = nullptr;
};

// Sums of one task, by its kept indices counted from task.keptBegin; overwrites them. `second` for kSquareAndProduct.
void sumTask(const NestPlan& plan, const NestPlan::Task& task, Term term, const NestInput& input, double* first, double* second);

// Writes the elements of one task; coefficients counted from task.keptBegin.
void writeTask(const NestPlan& plan, const NestPlan::Task& task, Apply apply, const NestInput& input, void* out, const Coefficients& by,
               Stores stores);

// Whether stores of an output this large should bypass the caches: beyond what one thread reaches of the common one, or all.
bool streams(uint64_t bytes, int threads);

// The output as Block::fetch where a thread's part of it outgrows a second-level cache, else null: fetching a line that
// another core wrote last only to read it costs more than it hides.
const void* fetchable(const void* out, uint64_t bytes, int threads);

// Sums of a whole nest whose kept indices have partial sums in several tasks.
class NestSums {
 public:
  NestSums(const NestPlan& plan, Term term);
  // Fills the partial sums of one task. Different tasks on different threads.
  void sum(const NestPlan::Task& task, const NestInput& input);
  // The totals of kept indices [begin, end), left at first() and second().
  void combine(int64_t begin, int64_t end);
  double* first() { return first_.at(0); }
  double* second() { return second_.at(0); }

 private:
  void combine(Scratch<double>& sums, int64_t begin, int64_t end);

  const NestPlan& plan_;
  Term term_;
  Scratch<double> first_, second_;
};

// Elements summed before they are written: few enough for the first-level cache.
constexpr int64_t kPieceElements = 8192;

// Whether all `tensors` of `bytes` stay near the threads that work on them, and their tasks are rows of a size that is best
// summed and written one by one: no shorter than a vector, and three of them in a first-level cache.
bool rowsInCache(const NestPlan& plan, uint64_t bytes, int tensors, int threads);

// Leaves the rows of a task of whole rows to run(rows, kept), which returns how many it did, and each row that it stopped in
// front of to visit(task).
template <class Run, class Visit>
void eachRow(const NestPlan& plan, NestPlan::Task task, const Run& run, const Visit& visit) {
  const int64_t length = plan.reduced(), end = task.keptBegin + task.keptCount;
  for (int64_t kept = task.keptBegin; kept < end; ++kept) {
    kept += run(Block{kept * length, end - kept, length, length}, kept);
    if (kept == end) return;
    task.ranges[0] = {kept, kept + 1};
    task.keptBegin = kept;
    task.keptCount = 1;
    visit(task);
  }
}

// Kept indices finished by one thread at a time after partial sums.
constexpr int64_t kKeptGrain = 2048;

// Sums a nest and calls finish(first, second, begin, count) for ranges of kept indices that cover it, on several
// threads; the sums at first[0..count) belong to kept indices begin… and may be overwritten.
template <class Finish>
void reduceNest(const NestPlan& plan, Term term, const NestInput& input, Pool& pool, const Finish& finish) {
  const bool both = term == Term::kSquareAndProduct;
  if (plan.reducedBlocks() == 1) {
    const int64_t size = plan.keptPerTask();
    Scratch<double> first(size * pool.threads()), second(both ? size * pool.threads() : 0);
    pool.parallelFor(plan.tasks(), [&](int64_t index, int worker) {
      const NestPlan::Task task = plan.task(index);
      double* const a = first.at(size * worker);
      double* const b = both ? second.at(size * worker) : nullptr;
      sumTask(plan, task, term, input, a, b);
      finish(a, b, task.keptBegin, task.keptCount);
    });
    return;
  }
  NestSums sums(plan, term);
  pool.parallelFor(plan.tasks(), [&](int64_t index, int) { sums.sum(plan.task(index), input); });
  parallelRanges(pool, plan.kept(), kKeptGrain, [&](int64_t begin, int64_t end) {
    sums.combine(begin, end);
    finish(sums.first() + begin, both ? sums.second() + begin : nullptr, begin, end - begin);
  });
}

}  // namespace weightnorm::cpu
