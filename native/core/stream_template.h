#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/stream_op.h"

namespace weightnorm::core {

// A prepared push, to make others of the same sizes from without checking all of them again. It holds no tensor's memory. Immutable
// after construction; the caller's thread.
class StreamTemplate {
 public:
  explicit StreamTemplate(const StreamOp& prepared);

  // The push of x on what was kept before, complete as from prepare(); throws ERR_MEMORY. Nothing where either differs from
  // that of the prepared push in shape, type or device, or where an operand of a convolution is gone or could not be computed.
  std::optional<StreamOp> make(const Tensor& x, const Tensor& before) const;

  // About as much memory as it takes.
  uint64_t bytes() const;

 private:
  // An operand of a convolution that is not a value of the stream.
  struct Operand {
    bool present;
    std::weak_ptr<Storage> storage;
  };

  StreamOp op_;  // tensors without storage
  bool hasX_, hasBefore_, hasY_;
  const Device* device_;
  std::vector<Operand> operands_;  // of the convolutions in order
};

}  // namespace weightnorm::core
