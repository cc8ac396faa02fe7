// A copy of setBytes: data, in memory that kernels may read and that is checked like a buffer.
#pragma once
#include <memory>

#include "../engine/shadow.h"

namespace softmetal {

class InlineBytes {
 public:
  InlineBytes(const void* bytes, size_t length);
  ~InlineBytes();
  InlineBytes(const InlineBytes&) = delete;
  Region* region() const { return region_.get(); }

 private:
  std::unique_ptr<Region> region_;
};

}  // namespace softmetal
