// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/packed_matrix.h"

#include <gtest/gtest.h>

#include <cstring>

#include "core/error.h"
#include "device/cpu/gemm_reference_test.h"

namespace tutti::cpu {
namespace {

using Bytes = std::vector<unsigned char>;

std::vector<Isa> isas() {
  std::vector<Isa> all;
  for (int i = 0; i < kIsaCount; ++i) {
    if (is_supported(static_cast<Isa>(i))) all.push_back(static_cast<Isa>(i));
  }
  return all;
}

TEST(PackedMatrix, PutsPanelsOfColumnsOneAfterTheOther) {
  for (Isa isa : isas()) {
    for (DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
      const PackedLayout layout = PackedLayout::of(isa, dtype);
      for (int64_t k : {1, 5, 70}) {
        for (int64_t n : {1, 7, 32, 75}) {
          for (bool transposed : {false, true}) {
            const MatrixLayout from{dtype, transposed ? 1 : n + 2, transposed ? k + 1 : 1, {}};
            const Bytes matrix = reference::random_array(dtype, (k + 1) * (n + 2), 7);
            Bytes packed(layout.bytes(k, n), 0xff);
            pack_matrix(layout, k, n, matrix.data(), from, packed.data());
            for (int64_t i = 0; i < layout.elements(k, n); ++i) {
              const int64_t column = i / (k * layout.width) * layout.width + i % layout.width;
              const int64_t row = i / layout.width % k;
              const double wanted =
                  column < n ? reference::read(matrix.data(), dtype,
                                               row * from.row_stride + column * from.col_stride)
                             : 0;
              ASSERT_EQ(reference::read(packed.data(), dtype, i), wanted) << to_string(layout);
            }
          }
        }
      }
    }
  }
}

TEST(PackedMatrix, UnpacksAndRepacksWithoutLoss) {
  for (DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    for (Isa isa : isas()) {
      for (Isa other : isas()) {
        const PackedLayout layout = PackedLayout::of(isa, dtype);
        const PackedLayout target = PackedLayout::of(other, dtype);
        const int64_t k = 9, n = 75;
        const MatrixLayout plain{dtype, n, 1, {}};
        const Bytes matrix = reference::random_array(dtype, k * n, 7);
        Bytes packed(layout.bytes(k, n)), repacked(target.bytes(k, n), 0xff);
        Bytes direct = repacked, unpacked(matrix.size());
        pack_matrix(layout, k, n, matrix.data(), plain, packed.data());
        repack_matrix(layout, packed.data(), target, repacked.data(), k, n);
        pack_matrix(target, k, n, matrix.data(), plain, direct.data());
        EXPECT_EQ(repacked, direct);
        unpack_matrix(target, k, n, repacked.data(), unpacked.data(), plain);
        EXPECT_EQ(unpacked, matrix);
      }
    }
  }
}

TEST(PackedMatrix, ConvertsWhilePacking) {
  const PackedLayout layout = PackedLayout::of(Isa::portable, DType::bf16);
  const float matrix[3] = {1.00390625f, 1.01171875f, -2.5f};
  Bytes packed(layout.bytes(1, 3));
  pack_matrix(layout, 1, 3, matrix, {DType::f32, 3, 1, {}}, packed.data());
  float unpacked[3];
  unpack_matrix(layout, 1, 3, packed.data(), unpacked, {DType::f32, 3, 1, {}});
  EXPECT_EQ(unpacked[0], 1.0f);
  EXPECT_EQ(unpacked[1], 1.015625f);
  EXPECT_EQ(unpacked[2], -2.5f);
}

TEST(PackedMatrix, NamesParseToThemselves) {
  const PackedLayout layout{DType::bf16, 16};
  EXPECT_EQ(to_string(layout), "bf16.nr16");
  EXPECT_EQ(parse_packed_layout("bf16.nr16"), layout);
  for (const char* bad : {"", "bf16", "bf16.nr", "xx.nr4", "f32.nr4x"}) {
    EXPECT_FALSE(parse_packed_layout(bad)) << bad;
  }
}

TEST(PackedMatrix, RefusesIntegersAndOtherTypes) {
  EXPECT_THROW(PackedLayout::of(Isa::portable, DType::i8), Error);
  EXPECT_THROW(repack_matrix({DType::f32, 8}, nullptr, {DType::bf16, 8}, nullptr, 1, 1), Error);
}

}  // namespace
}  // namespace tutti::cpu
