// SPDX-License-Identifier: Apache-2.0
#include "comm/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/dispatch.h"
#include "device/cpu/isa.h"

namespace tutti::comm {
namespace {

/// Calls f with each instruction set of this machine in use.
template <class F>
void for_each_isa(const F& f) {
  for (cpu::Isa isa : {cpu::Isa::portable, cpu::Isa::avx2, cpu::Isa::avx512}) {
    if (!cpu::is_supported(isa)) continue;
    SCOPED_TRACE(cpu::to_string(isa));
    cpu::set_isa(isa);
    f();
  }
  cpu::set_isa(cpu::best_isa());
}

float plain(Reduce op, float a, float b) {
  if (op == Reduce::prod) return a * b;
  if (op == Reduce::sum || op == Reduce::avg) return a + b;
  if (std::isnan(a) || std::isnan(b)) return a + b;
  return op == Reduce::max ? std::max(a, b) : std::min(a, b);
}

/// Every pair of 8-bit floats: all roundings, overflows, subnormals, infinities and NaNs.
template <class T>
void check_all_pairs(DType dtype, Reduce op) {
  constexpr int kCount = 256 * 256;
  std::vector<T> a(kCount), b(kCount), out(kCount);
  for (int i = 0; i < kCount; ++i) {
    a[static_cast<size_t>(i)].bits = static_cast<uint8_t>(i);
    b[static_cast<size_t>(i)].bits = static_cast<uint8_t>(i / 256);
  }
  const void* ins[] = {a.data(), b.data()};
  reduce_elements(dtype, op, ins, out.data(), kCount);
  for (size_t i = 0; i < kCount; ++i) {
    float wanted = plain(op, a[i], b[i]);
    if (op == Reduce::avg) wanted /= 2;
    const bool nan = std::isnan(wanted);
    const bool zero = static_cast<float>(T(wanted)) == 0 && op >= Reduce::max;
    const bool same = out[i].bits == T(wanted).bits ||
                      (nan && std::isnan(static_cast<float>(out[i]))) ||
                      (zero && static_cast<float>(out[i]) == 0);
    ASSERT_TRUE(same) << to_string(dtype) << " " << to_string(op) << " of " << float(a[i])
                      << " and " << float(b[i]) << " is " << float(out[i]) << ", wanted "
                      << float(T(wanted));
  }
}

TEST(ReduceElements, EveryPairOf8BitFloatsIsRoundedLikeOneAtATime) {
  for_each_isa([] {
    for (int op = 0; op < kReduceCount; ++op) {
      check_all_pairs<f8_e4m3>(DType::f8_e4m3, static_cast<Reduce>(op));
      check_all_pairs<f8_e5m2>(DType::f8_e5m2, static_cast<Reduce>(op));
    }
  });
}

TEST(ReduceElements, AddsInTheOrderOfInputsAtAnyLength) {
  for_each_isa([] {
    for (size_t count : {1, 2, 3, 4, 7, 64}) {
      for (int64_t n : {0, 1, 3, 15, 16, 17, 100}) {
        std::vector<std::vector<float>> ins(count, std::vector<float>(static_cast<size_t>(n)));
        std::vector<const void*> pointers;
        for (size_t k = 0; k < count; ++k) {
          for (size_t i = 0; i < ins[k].size(); ++i)
            ins[k][i] = 1.0f / static_cast<float>(1 + (k * 37 + i * 101) % 97);
          pointers.push_back(ins[k].data());
        }
        std::vector<float> out(static_cast<size_t>(n) + 1, 77);
        reduce_elements(DType::f32, Reduce::sum, pointers, out.data(), n);
        for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
          float sum = ins[0][i];
          for (size_t k = 1; k < count; ++k) sum += ins[k][i];
          ASSERT_EQ(out[i], sum) << count << " inputs, element " << i << " of " << n;
        }
        ASSERT_EQ(out.back(), 77);
      }
    }
  });
}

TEST(ReduceElements, AverageOfInfinityIsInfinity) {
  for_each_isa([] {
    const float a[3] = {INFINITY, 1, 3}, b[3] = {1, 2, 3};
    const void* ins[] = {a, b};
    float out[3];
    reduce_elements(DType::f32, Reduce::avg, ins, out, 3);
    EXPECT_EQ(out[0], INFINITY);
    EXPECT_EQ(out[1], 1.5f);
    EXPECT_EQ(out[2], 3);
  });
}

TEST(CopyBytes, AnyLengthAndAlignmentPastTheCachesToo) {
  for_each_isa([] {
    std::vector<char> from(5000), to(5000);
    for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<char>(i * 7);
    for (size_t offset : {0, 1, 4, 60}) {
      for (size_t bytes : {0, 1, 63, 64, 65, 300, 4000, 4001}) {
        std::fill(to.begin(), to.end(), 0x55);
        copy_bytes(to.data() + 64 + offset, from.data() + 3, bytes, true);
        EXPECT_EQ(memcmp(to.data() + 64 + offset, from.data() + 3, bytes), 0);
        EXPECT_EQ(to[63 + offset], 0x55);
        EXPECT_EQ(to[64 + offset + bytes], 0x55);
      }
    }
  });
}

TEST(Collectives, SayWhatTheyAre) {
  EXPECT_EQ(describe({.kind = Kind::all_reduce, .count = 5}), "all_reduce sum f32 x 5");
  EXPECT_EQ(describe({.kind = Kind::broadcast, .dtype = DType::i8, .root = 2, .count = 5}),
            "broadcast i8 x 5 from 2");
  EXPECT_EQ(describe({.kind = Kind::gather, .root = 1, .count = 5}), "gather f32 x 5 to 1");
  EXPECT_EQ(describe({.kind = Kind::barrier}), "barrier");
  EXPECT_EQ(title(Kind::all_gather, 17, "blocks.3"), "all_gather #17 'blocks.3'");
}

TEST(Collectives, AreDefinedAsTheTableSays) {
  for (int d = 0; d < kDTypeCount; ++d) {
    for (int o = 0; o < kReduceCount; ++o) {
      const auto dtype = static_cast<DType>(d);
      const auto op = static_cast<Reduce>(o);
      bool wanted = true;
      if (is_integer(dtype)) wanted = op != Reduce::avg;
      if (dtype == DType::boolean) wanted = op == Reduce::max || op == Reduce::min;
      EXPECT_EQ(is_defined(dtype, op), wanted) << to_string(dtype) << " " << to_string(op);
    }
  }
}

TEST(PartialResults, OfSmallFloatsAreRoundedOnlyAtTheEnd) {
  for_each_isa([] {
    // 256 + 1 + 1 + ... is lost in bf16, one by one.
    for (int n : {1, 15, 16, 17, 100}) {
      const auto count = static_cast<size_t>(n);
      std::vector<bf16> large(count, bf16(256.0f)), one(count, bf16(1.0f)), out(count);
      std::vector<float> a(count), b(count);
      const void* first[] = {large.data(), one.data()};
      const void* second[] = {one.data(), one.data(), one.data()};
      reduce_to_partial(DType::bf16, Reduce::avg, first, a.data(), n);
      reduce_to_partial(DType::bf16, Reduce::avg, second, b.data(), n);
      EXPECT_EQ(a, std::vector<float>(count, 257.0f));
      const void* both[] = {a.data(), b.data()};
      reduce_from_partial(DType::bf16, Reduce::avg, both, out.data(), n, 5);
      for (bf16 x : out) EXPECT_EQ(x.bits, bf16(52.0f).bits);
      reduce_from_partial(DType::bf16, Reduce::max, both, out.data(), n, 5);
      for (bf16 x : out) EXPECT_EQ(x.bits, bf16(257.0f).bits);
    }
  });
}

TEST(PartialResults, OfOtherTypesAreOfThatType) {
  const int64_t a[] = {1, 2, 3}, b[] = {10, 20, 30};
  int64_t out[3];
  const void* ins[] = {a, b};
  EXPECT_EQ(partial_dtype(DType::i64), DType::i64);
  reduce_to_partial(DType::i64, Reduce::sum, ins, out, 3);
  EXPECT_EQ(out[2], 33);
  const double c[] = {6}, d[] = {3};
  double average[1];
  const void* sums[] = {c, d};
  reduce_from_partial(DType::f64, Reduce::avg, sums, average, 1, 6);
  EXPECT_EQ(average[0], 1.5);
}

}  // namespace
}  // namespace tutti::comm
