#pragma once

#include <cstddef>

namespace weightnorm::core {

// Memory of what one thread makes and another destroys, as the tasks of a queue. malloc would look for each block in its
// arena, under the arena's lock, which takes a good part of a call. A few hundred blocks are kept. Any thread.
void* takeBlock(size_t bytes);
void returnBlock(void* block, size_t bytes);

}  // namespace weightnorm::core
