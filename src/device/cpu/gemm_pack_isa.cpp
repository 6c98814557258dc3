// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "device/cpu/gemm_kernel.h"
#include "device/cpu/gemm_pack.h"
#include "device/cpu/transpose.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

template <class T>
void convert_row(const T* from, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(to + i, load(from + i));
  if (i < n)
    store_first(to + i, load_first(from + i, static_cast<int>(n - i)), static_cast<int>(n - i));
}

/// kLanes columns, each contiguous in memory, to kLanes floats of each of `rows` rows of `to`.
template <class T>
void pack_columns(const T* from, int64_t col_stride, int64_t rows, float* to) {
  int64_t r = 0;
  for (; r + kLanes <= rows; r += kLanes) {
    VecF v[kLanes];
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) v[j] = load(from + j * col_stride + r);
    transpose(v);
#pragma GCC unroll 16
    for (int j = 0; j < kLanes; ++j) store(to + (r + j) * kWidth, v[j]);
  }
  for (; r < rows; ++r) {
    for (int j = 0; j < kLanes; ++j) {
      to[r * kWidth + j] = load_one(from + j * col_stride + r);
    }
  }
}

template <class T>
void pack_panel_typed(const T* from, int64_t row_stride, int64_t col_stride, int64_t rows,
                      int columns, float* to) {
  if (col_stride == 1 && columns == kWidth) {
    for (int64_t r = 0; r < rows; ++r) {
      store(to + r * kWidth, load(from + r * row_stride));
      store(to + r * kWidth + kLanes, load(from + r * row_stride + kLanes));
    }
    return;
  }
  int done = 0;
  if (row_stride == 1) {
    for (; done + kLanes <= columns; done += kLanes) {
      pack_columns(from + done * col_stride, col_stride, rows, to + done);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* row = to + r * kWidth;
    for (int j = done; j < columns; ++j) {
      row[j] = load_one(from + r * row_stride + j * col_stride);
    }
    for (int j = columns; j < kWidth; ++j) row[j] = 0;
  }
}

template <class T>
void copy_rows_typed(const T* a, int64_t row_stride, int64_t col_stride, int rows, int64_t k,
                     float* to, int64_t stride) {
  for (int i = 0; i < rows; ++i) {
    const T* from = a + i * row_stride;
    if (col_stride == 1) {
      convert_row(from, k, to + i * stride);
    } else {
      for (int64_t p = 0; p < k; ++p) {
        to[i * stride + p] = load_one(from + p * col_stride);
      }
    }
  }
}

template <class F>
void with_float(DType dtype, const F& f) {
  if (dtype == DType::bf16) return f(bf16{});
  if (dtype == DType::f16) return f(f16{});
  f(float{});
}

}  // namespace

void copy_rows(const void* a, const MatrixLayout& from, int64_t row, int rows, int64_t k0,
               int64_t k, float* to, int64_t stride) {
  with_float(from.dtype, [&](auto type) {
    const auto* first =
        static_cast<const decltype(type)*>(a) + row * from.row_stride + k0 * from.col_stride;
    copy_rows_typed(first, from.row_stride, from.col_stride, rows, k, to, stride);
  });
}

void interleave_rows(const float* from, int64_t stride, int rows, int64_t k, float* to) {
  int64_t p = 0;
  for (; p + kLanes <= k; p += kLanes) {
    for (int first = 0; first < rows; first += kLanes) {
      // What a store writes past the rows, later stores or the next k overwrite.
      VecF v[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        v[i] = first + i < rows ? load(from + (first + i) * stride + p) : VecF{};
      }
      transpose(v);
      for (int i = 0; i < kLanes; ++i) {
        float* row = to + (p + i) * rows + first;
        if (first + kLanes <= rows || first == 0) {
          store(row, v[i]);
        } else {
          store_first(row, v[i], rows - first);
        }
      }
    }
  }
  for (; p < k; ++p) {
    for (int i = 0; i < rows; ++i) to[p * rows + i] = from[i * stride + p];
  }
}

void pack_panel(const void* matrix, const MatrixLayout& from, int64_t rows, int columns,
                float* to) {
  with_float(from.dtype, [&](auto type) {
    pack_panel_typed(static_cast<const decltype(type)*>(matrix), from.row_stride, from.col_stride,
                     rows, columns, to);
  });
}

void narrow(const float* from, DType dtype, void* to, int64_t n) {
  with_float(dtype, [&](auto type) {
    auto* out = static_cast<decltype(type)*>(to);
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(out + i, load(from + i));
    if (i < n)
      store_first(out + i, load_first(from + i, static_cast<int>(n - i)), static_cast<int>(n - i));
  });
}

void widen(const void* from, DType dtype, float* to, int64_t n) {
  with_float(dtype,
             [&](auto type) { convert_row(static_cast<const decltype(type)*>(from), n, to); });
}

}  // namespace tutti::cpu::TUTTI_ISA
