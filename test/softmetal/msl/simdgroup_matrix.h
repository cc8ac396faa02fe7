// 8x8 matrices spread over a simdgroup, two horizontally adjacent elements a lane. The layout is the executor's own business:
// kernels must not rely on it, so there is no thread_elements().
#pragma once
#include "simdgroup.h"

namespace metal {
template <class T, int Columns, int Rows>
struct simdgroup_matrix;

namespace detail {
SM_UNCHECKED inline unsigned matrixRow(unsigned lane) {
  return (lane / 4 & 4) + lane / 2 % 4;
}
SM_UNCHECKED inline unsigned matrixColumn(unsigned lane) {
  return (lane / 4 & 2) * 2 + lane % 2 * 2;
}

template <class P>
struct MatrixPlace {
  P* base;
  ulong elementsPerRow;
  ulong x, y;
  ulong transposed;
};
template <class P>
SM_UNCHECKED MatrixPlace<P> uniformPlace(void* slots, unsigned stride, unsigned active, const char* message) {
  if (active != 0xffffffffu) softmetal_kernel_fail("a simdgroup_matrix operation needs all 32 lanes of the simdgroup");
  const MatrixPlace<P> place = slot<MatrixPlace<P>>(slots, stride, 0);
  for (unsigned i = 1; i < kSmSimdWidth; i++)
    if (__builtin_memcmp(&place, (char*)slots + i * stride, sizeof place)) softmetal_kernel_fail(message);
  return place;
}

template <class T, class P>
SM_UNCHECKED void loadMatrix(void* slots, unsigned stride, const unsigned*, unsigned active) {
  auto place = uniformPlace<const P>(slots, stride, active, "simdgroup_load with arguments that differ between lanes");
  P values[8][8];
  for (unsigned row = 0; row < 8; row++) {
    const P* source = place.base + (place.y + row) * place.elementsPerRow + place.x;
    softmetal_kernel_simdgroup_access(source, 8 * sizeof(P), kSmRead);
    for (unsigned column = 0; column < 8; column++) values[row][column] = source[column];
  }
  for (unsigned lane = 0; lane < kSmSimdWidth; lane++) {
    const unsigned row = matrixRow(lane), column = matrixColumn(lane);
    for (unsigned k = 0; k < 2; k++)
      ((T*)((char*)slots + lane * stride))[k] = (T)(place.transposed ? values[column + k][row] : values[row][column + k]);
  }
}
template <class T, class P>
struct StoredMatrix {
  MatrixPlace<P> place;
  T elements[2];
};
template <class T, class P>
SM_UNCHECKED void storeMatrix(void* slots, unsigned stride, const unsigned*, unsigned active) {
  const auto place = uniformPlace<P>(slots, stride, active, "simdgroup_store with arguments that differ between lanes");
  P values[8][8];
  for (unsigned lane = 0; lane < kSmSimdWidth; lane++) {
    const unsigned row = matrixRow(lane), column = matrixColumn(lane);
    const auto& stored = slot<StoredMatrix<T, P>>(slots, stride, lane);
    for (unsigned k = 0; k < 2; k++) (place.transposed ? values[column + k][row] : values[row][column + k]) = (P)stored.elements[k];
  }
  for (unsigned row = 0; row < 8; row++) {
    P* target = place.base + (place.y + row) * place.elementsPerRow + place.x;
    softmetal_kernel_simdgroup_access(target, 8 * sizeof(P), kSmWrite);
    for (unsigned column = 0; column < 8; column++) target[column] = values[row][column];
  }
}

template <class A, class B, class C>
struct MatrixOperands {
  A a[2];
  B b[2];
  C c[2];
};
typedef float SmRow __attribute__((ext_vector_type(8), aligned(4)));
template <class D, class A, class B, class C>
SM_UNCHECKED void multiplyMatrices(void* slots, unsigned stride, const unsigned*, unsigned active) {
  if (active != 0xffffffffu) softmetal_kernel_fail("a simdgroup_matrix operation needs all 32 lanes of the simdgroup");
  float a[8][8], b[8][8], c[8][8];
  for (unsigned lane = 0; lane < kSmSimdWidth; lane++) {
    const unsigned row = matrixRow(lane), column = matrixColumn(lane);
    const auto& operands = slot<MatrixOperands<A, B, C>>(slots, stride, lane);
    for (unsigned k = 0; k < 2; k++) {
      a[row][column + k] = (float)operands.a[k];
      b[row][column + k] = (float)operands.b[k];
      c[row][column + k] = (float)operands.c[k];
    }
  }
  for (unsigned row = 0; row < 8; row++) {
    SmRow sum = *(const SmRow*)c[row];
    for (unsigned k = 0; k < 8; k++) sum = __builtin_elementwise_fma((SmRow)a[row][k], *(const SmRow*)b[k], sum);
    *(SmRow*)c[row] = sum;
  }
  for (unsigned lane = 0; lane < kSmSimdWidth; lane++)
    for (unsigned k = 0; k < 2; k++) ((D*)((char*)slots + lane * stride))[k] = (D)c[matrixRow(lane)][matrixColumn(lane) + k];
  softmetal_kernel_count_flops(1024);
}
}  // namespace detail

template <class T, int Columns, int Rows>
struct simdgroup_matrix {
  static_assert(Columns == 8 && Rows == 8, "simdgroup matrices are 8x8");
  T sm_elements[2];
  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T diagonal) {
    const unsigned lane = detail::softmetal_kernel_lane(), row = detail::matrixRow(lane), column = detail::matrixColumn(lane);
    sm_elements[0] = row == column ? diagonal : (T)0;
    sm_elements[1] = row == column + 1 ? diagonal : (T)0;
  }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int Columns, int Rows>
simdgroup_matrix<T, Columns, Rows> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, Columns, Rows> matrix;
  matrix.sm_elements[0] = matrix.sm_elements[1] = value;
  return matrix;
}

template <class T>
SM_CALL void simdgroup_load(thread simdgroup_matrix<T, 8, 8>& matrix, const T* source, ulong elementsPerRow = 8, ulong2 origin = (ulong2)0,
                            bool transposed = false) {
  union {
    detail::MatrixPlace<const T> place;
    T elements[2];
  } value = {{source, elementsPerRow, origin.x, origin.y, transposed}};
  detail::collect(value, 0, &detail::loadMatrix<T, T>, __builtin_return_address(0));
  matrix.sm_elements[0] = value.elements[0];
  matrix.sm_elements[1] = value.elements[1];
}
template <class T>
SM_CALL void simdgroup_store(thread const simdgroup_matrix<T, 8, 8>& matrix, T* target, ulong elementsPerRow = 8, ulong2 origin = (ulong2)0,
                             bool transposed = false) {
  detail::StoredMatrix<T, T> value = {{target, elementsPerRow, origin.x, origin.y, transposed},
                                      {matrix.sm_elements[0], matrix.sm_elements[1]}};
  detail::collect(value, 0, &detail::storeMatrix<T, T>, __builtin_return_address(0));
}
template <class D, class A, class B, class C>
SM_CALL void simdgroup_multiply_accumulate(thread simdgroup_matrix<D, 8, 8>& result, const simdgroup_matrix<A, 8, 8>& a,
                                           const simdgroup_matrix<B, 8, 8>& b, const simdgroup_matrix<C, 8, 8>& c) {
  union {
    detail::MatrixOperands<A, B, C> operands;
    D elements[2];
  } value = {{{a.sm_elements[0], a.sm_elements[1]}, {b.sm_elements[0], b.sm_elements[1]}, {c.sm_elements[0], c.sm_elements[1]}}};
  detail::collect(value, 0, &detail::multiplyMatrices<D, A, B, C>, __builtin_return_address(0));
  result.sm_elements[0] = value.elements[0];
  result.sm_elements[1] = value.elements[1];
}
template <class D, class A, class B>
void simdgroup_multiply(thread simdgroup_matrix<D, 8, 8>& result, const simdgroup_matrix<A, 8, 8>& a, const simdgroup_matrix<B, 8, 8>& b) {
  simdgroup_multiply_accumulate(result, a, b, make_filled_simdgroup_matrix<D, 8, 8>((D)0));
}
}  // namespace metal
