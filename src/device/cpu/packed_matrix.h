// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "device/cpu/gemm.h"

namespace tutti::cpu {

/// The layout of a k x n matrix as matmul kernels read it: panels of `width` columns, each
/// [k][width], the last one filled up with zeros: [ceil(n / width)][k][width].
struct PackedLayout {
  DType dtype = DType::f32;  ///< f32, bf16, f16 or f64
  int width = 0;

  /// What the kernels of `isa` read. Throws unsupported for other types.
  static PackedLayout of(Isa isa, DType dtype);
  /// Elements of a packed k x n matrix; also the natural batch stride.
  int64_t elements(int64_t k, int64_t n) const;
  size_t bytes(int64_t k, int64_t n) const;

  friend bool operator==(const PackedLayout&, const PackedLayout&) = default;
};

/// "f32.nr32"
std::string to_string(const PackedLayout& layout);
std::optional<PackedLayout> parse_packed_layout(std::string_view name);

/// Packs a k x n matrix; `from` gives its dtype (any float to any float but f64 only to f64) and
/// row and column strides.
void pack_matrix(const PackedLayout& layout, int64_t k, int64_t n, const void* matrix,
                 const MatrixLayout& from, void* packed);

/// The inverse of pack_matrix; lossless when both dtypes are the same.
void unpack_matrix(const PackedLayout& layout, int64_t k, int64_t n, const void* packed,
                   void* matrix, const MatrixLayout& to);

/// Copies a packed matrix into another width, bit for bit. Throws invalid_argument when the dtypes
/// differ.
void repack_matrix(const PackedLayout& from, const void* packed, const PackedLayout& to,
                   void* repacked, int64_t k, int64_t n);

}  // namespace tutti::cpu
