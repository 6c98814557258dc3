// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <utility>

#include "device/cpu/gemm_kernel.h"
#include "device/cpu/vector_math.h"

namespace tutti::cpu::TUTTI_ISA {

namespace {

constexpr int64_t kAhead = 1024;  // bytes a stream of panels is fetched ahead of its use
constexpr int kFetchRows = 4;     // with more rows, what is multiplied hides the way from memory

/// kRows x (kPanels * kVectors * kLanes) of the product; T stores the panels. When kInterleaved,
/// A is [k][kRows] and panels follow each other closely.
template <class T, int kRows, int kVectors, int kPanels, bool kInterleaved>
void multiply(const Tile& tile) {
  constexpr int kColumns = kVectors * kPanels;
  VecF sum[kRows][kColumns];
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) sum[i][j] = VecF{};
  }
  const float* a = tile.a;
  const T* b = static_cast<const T*>(tile.b);
  const int64_t a_stride = kInterleaved ? 1 : tile.a_stride;
  const int64_t b_stride = kInterleaved ? kWidth : tile.b_stride;
  const char* fetch = static_cast<const char*>(tile.fetch);
  const int64_t fetch_bytes = tile.fetch_bytes;
  const int64_t panel_stride = tile.panel_stride;
  for (int64_t p = tile.k; p > 0; --p) {
    if constexpr (kInterleaved) {
      __builtin_prefetch(fetch, 0, 2);
      fetch += fetch_bytes;
    }
    VecF panel[kColumns];
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      const T* from = b + (j / kVectors) * panel_stride + (j % kVectors) * kLanes;
      panel[j] = load(from);
      if constexpr (kRows <= kFetchRows) {
        __builtin_prefetch(reinterpret_cast<const char*>(from) + kAhead);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
      const VecF factor = math::splat<VecF>(a[i * a_stride]);
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) sum[i][j] += factor * panel[j];
    }
    a += kInterleaved ? kRows : 1;
    b += b_stride;
  }
  if (tile.in != nullptr) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < kColumns; ++j) {
        sum[i][j] += load(tile.in + i * tile.in_stride + j * kLanes);
      }
    }
  }
  if (tile.bias != nullptr) {
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j) {
      const VecF bias = load(tile.bias + j * kLanes);
#pragma GCC unroll 16
      for (int i = 0; i < kRows; ++i) sum[i][j] += bias;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < kColumns; ++j)
      store(tile.out + i * tile.out_stride + j * kLanes, sum[i][j]);
  }
}

template <class T, int kVectors, int kPanels, bool kInterleaved, int... kRows>
constexpr auto kernels_for(std::integer_sequence<int, kRows...>) {
  return std::array<Kernel, sizeof...(kRows)>{
      multiply<T, kRows + 1, kVectors, kPanels, kInterleaved>...};
}

template <class T>
const Kernel* find(Extent extent) {
  constexpr auto kAll = std::make_integer_sequence<int, kTileRows>{};
  constexpr auto kFew = std::make_integer_sequence<int, kPairRows>{};
  static constexpr auto kPanel = kernels_for<T, 2, 1, false>(kAll);
  static constexpr auto kPair = kernels_for<T, 2, 2, false>(kFew);
  static constexpr auto kInterleaved = kernels_for<T, 2, 1, true>(kAll);
  if (extent == Extent::interleaved) return kInterleaved.data();
  return extent == Extent::pair ? kPair.data() : kPanel.data();
}

}  // namespace

const Kernel* find_kernels(DType panels, Extent extent) {
  static constexpr auto kHalf =
      kernels_for<float, 1, 1, false>(std::make_integer_sequence<int, kTileRows>{});
  if (panels == DType::bf16) return find<bf16>(extent);
  if (panels == DType::f16) return find<f16>(extent);
  return extent == Extent::half ? kHalf.data() : find<float>(extent);
}

}  // namespace tutti::cpu::TUTTI_ISA
