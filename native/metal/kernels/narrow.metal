// y = x[start : start + length] along an axis: one row per index before the axis.
// Grid: x over a row, y over rows, threads stride beyond it; threadgroup 256 threads shaped to the row.
// Traffic: read and write once, 2 sizeof(T) bytes an element, the least possible.
#include "copy_rows.h"
