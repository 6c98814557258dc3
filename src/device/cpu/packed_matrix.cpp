// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/packed_matrix.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/error.h"
#include "core/text.h"
#include "device/cpu/gemm_recipe.h"

namespace tutti::cpu {

namespace {

constexpr int64_t kRowsAtOnce = 64;

const char* at(const void* matrix, DType dtype, int64_t element) {
  return static_cast<const char*>(matrix) + element * static_cast<int64_t>(size_of(dtype));
}

char* at(void* matrix, DType dtype, int64_t element) {
  return static_cast<char*>(matrix) + element * static_cast<int64_t>(size_of(dtype));
}

void check_float(DType dtype) {
  require(dtype == DType::f32 || dtype == DType::bf16 || dtype == DType::f16, Errc::unsupported,
          "a packed matrix of ", to_string(dtype), ": wanted f32, bf16, f16, or f64 from f64");
}

/// The kernels that pack panels of this width.
const GemmKernels& kernels_of_width(int width) {
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (is_supported(isa) && gemm_kernels(isa).width == width) return gemm_kernels(isa);
  }
  fail(Errc::unsupported, "panels of ", width, " columns on this machine");
}

/// Calls f(packed element, row, column) for every element that is not padding.
template <class F>
void for_each_packed(const PackedLayout& layout, int64_t k, int64_t n, const F& f) {
  for (int64_t column = 0; column < n; ++column) {
    const int64_t panel = column / layout.width * k * layout.width + column % layout.width;
    for (int64_t row = 0; row < k; ++row) f(panel + row * layout.width, row, column);
  }
}

}  // namespace

PackedLayout PackedLayout::of(Isa isa, DType dtype) {
  const int width = gemm_kernels(isa).width;
  if (dtype == DType::f64) return {dtype, width / 2};
  check_float(dtype);
  return {dtype, width};
}

int64_t PackedLayout::elements(int64_t k, int64_t n) const {
  return (n + width - 1) / width * width * k;
}

size_t PackedLayout::bytes(int64_t k, int64_t n) const {
  return static_cast<size_t>(elements(k, n)) * size_of(dtype);
}

std::string to_string(const PackedLayout& layout) {
  return join(to_string(layout.dtype), ".nr", layout.width);
}

std::optional<PackedLayout> parse_packed_layout(std::string_view name) {
  const size_t dot = name.find(".nr");
  if (dot == std::string_view::npos) return std::nullopt;
  const auto dtype = parse_dtype(name.substr(0, dot));
  int width = 0;
  for (char c : name.substr(dot + 3)) {
    if (c < '0' || c > '9' || width > 1000) return std::nullopt;
    width = width * 10 + (c - '0');
  }
  if (!dtype || width == 0) return std::nullopt;
  return PackedLayout{*dtype, width};
}

void pack_matrix(const PackedLayout& layout, int64_t k, int64_t n, const void* matrix,
                 const MatrixLayout& from, void* packed) {
  if (layout.dtype == DType::f64 && from.dtype == DType::f64) {
    std::memset(packed, 0, layout.bytes(k, n));
    for_each_packed(layout, k, n, [&](int64_t to, int64_t row, int64_t column) {
      static_cast<double*>(packed)[to] =
          static_cast<const double*>(matrix)[row * from.row_stride + column * from.col_stride];
    });
    return;
  }
  check_float(layout.dtype);
  check_float(from.dtype);
  const GemmKernels& kernels = kernels_of_width(layout.width);
  std::vector<float> rows(static_cast<size_t>(kRowsAtOnce * layout.width));
  for (int64_t column = 0; column < n; column += layout.width) {
    for (int64_t row = 0; row < k; row += kRowsAtOnce) {
      const int64_t height = std::min(kRowsAtOnce, k - row);
      const void* first = at(matrix, from.dtype, row * from.row_stride + column * from.col_stride);
      void* to = at(packed, layout.dtype, column * k + row * layout.width);
      const int columns = static_cast<int>(std::min<int64_t>(layout.width, n - column));
      if (layout.dtype == DType::f32) {
        kernels.pack_panel(first, from, height, columns, static_cast<float*>(to));
      } else {
        kernels.pack_panel(first, from, height, columns, rows.data());
        kernels.narrow(rows.data(), layout.dtype, to, height * layout.width);
      }
    }
  }
}

void unpack_matrix(const PackedLayout& layout, int64_t k, int64_t n, const void* packed,
                   void* matrix, const MatrixLayout& to) {
  require((layout.dtype == DType::f64) == (to.dtype == DType::f64), Errc::unsupported, "unpacking ",
          to_string(layout.dtype), " to ", to_string(to.dtype));
  const bool same = layout.dtype == to.dtype;
  if (!same) {
    check_float(layout.dtype);
    check_float(to.dtype);
  }
  const GemmKernels& kernels = gemm_kernels(Isa::portable);
  for_each_packed(layout, k, n, [&](int64_t from, int64_t row, int64_t column) {
    void* element = at(matrix, to.dtype, row * to.row_stride + column * to.col_stride);
    const void* source = at(packed, layout.dtype, from);
    if (same) {
      std::memcpy(element, source, size_of(to.dtype));
    } else {
      float value;
      kernels.widen(source, layout.dtype, &value, 1);
      kernels.narrow(&value, to.dtype, element, 1);
    }
  });
}

void repack_matrix(const PackedLayout& from, const void* packed, const PackedLayout& to,
                   void* repacked, int64_t k, int64_t n) {
  require_argument(from.dtype == to.dtype, "repacking ", to_string(from), " as ", to_string(to));
  const int64_t run = std::gcd(from.width, to.width);
  const size_t run_bytes = static_cast<size_t>(run) * size_of(from.dtype);
  const int64_t source_columns = (n + from.width - 1) / from.width * from.width;
  for (int64_t column = 0; column < to.elements(1, n); column += run) {
    for (int64_t row = 0; row < k; ++row) {
      char* target = at(repacked, to.dtype,
                        column / to.width * to.width * k + row * to.width + column % to.width);
      if (column >= source_columns) {
        std::memset(target, 0, run_bytes);
      } else {
        std::memcpy(
            target,
            at(packed, from.dtype,
               column / from.width * from.width * k + row * from.width + column % from.width),
            run_bytes);
      }
    }
  }
}

}  // namespace tutti::cpu
