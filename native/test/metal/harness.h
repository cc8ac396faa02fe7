#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/prepare.h"
#include "core/queue.h"

// Drives the Metal device through core::Queue as the add-on does, against float64 references, under the software Metal.
namespace metaltest {

using namespace weightnorm;
using core::DType;
using core::Shape;
using core::Tensor;

constexpr DType kDTypes[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

void check(bool ok, const std::string& what);
int report();

// One environment: the process's Metal device and a queue of its own.
class Session {
 public:
  Session();
  core::Queue& queue() { return *queue_; }
  const std::shared_ptr<core::Device>& device() const { return device_; }

  // `values` rounded to dtype.
  Tensor upload(const std::vector<float>& values, const Shape& shape, DType dtype = DType::kFloat32);
  Tensor empty(const Shape& shape, DType dtype);
  // Waits. Throws the core::Error the tensor depends on.
  std::vector<float> read(const Tensor& tensor);
  // Waits for all work; the first failure nobody saw, or null.
  core::FailurePtr synchronize();
  // "ERR_…" when reading fails, "" when it succeeds.
  std::string readCode(const Tensor& tensor, std::string* message = nullptr);

  template <class Op>
  Tensor run(Op op) {
    core::prepare(op);
    queue_->submit(op);
    return op.y;
  }

 private:
  std::shared_ptr<core::Device> device_;
  std::unique_ptr<core::Queue> queue_;
};

float rounded(float value, DType dtype);
std::vector<float> rounded(std::vector<float> values, DType dtype);
// Distinct pseudo-random values in about [-4, 4], the same for the same seed.
std::vector<float> noise(int64_t count, uint32_t seed);

// Every element within `ulps` of dtype's grid (the reference rounded), plus `floor` absolute; NaN and infinities exact.
void compare(const std::string& what, const std::vector<float>& got, const std::vector<double>& want, DType dtype, double ulps,
             double floor = 0);
void same(const std::string& what, const std::vector<float>& got, const std::vector<float>& want);

// Runs `body` with the kernels' rare paths forced in turn: 64-bit indices, grids smaller than the work, small threadgroups.
void everyPath(const std::function<void(const std::string& path)>& body);

// Waits until every Metal object is gone, however late a completion handler's thread lets go. Their number after 2 s.
int64_t objectsLeft();
// Forgets that kernels read memory which a failed command buffer never wrote: the double stops them, a GPU does not.
void forgetUnwrittenReads();

// A setting of the software Metal, put back when it goes.
class Fault {
 public:
  Fault(const char* name, int64_t value);
  ~Fault();
};

void elementwise();
void layout();
void reductions();
void faults();
void lifetime();
void limits();

}  // namespace metaltest
