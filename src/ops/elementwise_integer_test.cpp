// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise.h"
#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

using E = Elementwise;

int floor_quotient(int a, int b) {
  int quotient = a / b;
  if (quotient * b != a && (a < 0) != (b < 0)) --quotient;
  return quotient;
}

struct IntegerCase {
  E fn;
  int (*wanted)(int a, int b, int bits, bool is_signed);
};

const IntegerCase kCases[] = {
    {E::add, [](int a, int b, int, bool) { return a + b; }},
    {E::sub, [](int a, int b, int, bool) { return a - b; }},
    {E::mul, [](int a, int b, int, bool) { return a * b; }},
    {E::div_trunc, [](int a, int b, int, bool) { return b == 0 ? 0 : a / b; }},
    {E::div_floor, [](int a, int b, int, bool) { return b == 0 ? 0 : floor_quotient(a, b); }},
    {E::remainder,
     [](int a, int b, int, bool) { return b == 0 ? 0 : a - b * floor_quotient(a, b); }},
    {E::fmod, [](int a, int b, int, bool) { return b == 0 ? 0 : a % b; }},
    {E::pow,
     [](int a, int b, int, bool) {
       if (b < 0) return a == 0 ? 0 : static_cast<int>(std::pow(a, b));
       int power = 1;
       for (int i = 0; i < b; ++i) power = power * a % 256;
       return power;
     }},
    {E::minimum, [](int a, int b, int, bool) { return a < b ? a : b; }},
    {E::maximum, [](int a, int b, int, bool) { return a > b ? a : b; }},
    {E::bitwise_and, [](int a, int b, int, bool) { return a & b; }},
    {E::bitwise_or, [](int a, int b, int, bool) { return a | b; }},
    {E::bitwise_xor, [](int a, int b, int, bool) { return a ^ b; }},
    {E::shift_left,
     [](int a, int b, int bits, bool) { return b < 0 || b >= bits ? 0 : a * (1 << b); }},
    {E::shift_right,
     [](int a, int b, int bits, bool is_signed) {
       if (b < 0 || b >= bits) return is_signed && a < 0 ? -1 : 0;
       return floor_quotient(a, 1 << b);
     }},
    {E::equal, [](int a, int b, int, bool) { return a == b ? 1 : 0; }},
    {E::less, [](int a, int b, int, bool) { return a < b ? 1 : 0; }},
    {E::logical_xor, [](int a, int b, int, bool) { return (a == 0) != (b == 0) ? 1 : 0; }},
};

template <class T>
void expect_all_pairs(DType dtype) {
  constexpr int kLow = std::numeric_limits<T>::min(), kHigh = std::numeric_limits<T>::max();
  Tensor a = Tensor::zeros(dtype, {256, 1}), b = Tensor::zeros(dtype, {256});
  for (int i = 0; i < 256; ++i) a.as<T>()[i] = b.as<T>()[i] = static_cast<T>(kLow + i);
  for (const IntegerCase& c : kCases) {
    const Tensor y = run_op(ElementwiseOp{c.fn}, {a, b})[0];
    const T* found = y.as<T>();
    int wrong = 0;
    for (int i = kLow; i <= kHigh; ++i)
      for (int j = kLow; j <= kHigh; ++j, ++found) {
        const int wanted = c.wanted(i, j, 8, std::is_signed_v<T>);
        if (*found == static_cast<T>(wanted)) continue;
        if (++wrong < 4)
          ADD_FAILURE() << info(c.fn).name << " " << i << " " << j << ": "
                        << static_cast<int>(*found);
      }
    EXPECT_EQ(wrong, 0) << info(c.fn).name;
  }
}

TEST(ElementwiseInteger, ComputesAllPairsOfI8) { expect_all_pairs<int8_t>(DType::i8); }

TEST(ElementwiseInteger, ComputesAllPairsOfU8) { expect_all_pairs<uint8_t>(DType::u8); }

template <class T>
std::vector<T> compute(E fn, DType dtype, std::vector<std::vector<T>> operands) {
  std::vector<Tensor> in;
  for (auto& values : operands)
    in.push_back(Tensor::borrow(values.data(), dtype, {static_cast<int64_t>(values.size())}));
  const Tensor y = run_op(ElementwiseOp{fn}, in)[0];
  return {y.as<T>(), y.as<T>() + y.elements()};
}

TEST(ElementwiseInteger, WrapsAtTheEndsOfI64) {
  constexpr int64_t kMin = INT64_MIN, kMax = INT64_MAX;
  using List = std::vector<int64_t>;
  const auto run = [](E fn, std::vector<List> operands) {
    return compute<int64_t>(fn, DType::i64, std::move(operands));
  };
  EXPECT_EQ(run(E::add, {{kMax, kMin, kMax}, {1, -1, kMax}}), (List{kMin, kMax, -2}));
  EXPECT_EQ(run(E::sub, {{kMin, 0}, {1, kMin}}), (List{kMax, kMin}));
  EXPECT_EQ(run(E::mul, {{kMax, kMin}, {2, -1}}), (List{-2, kMin}));
  EXPECT_EQ(run(E::neg, {{kMin, kMax}}), (List{kMin, -kMax}));
  EXPECT_EQ(run(E::abs, {{kMin, -5}}), (List{kMin, 5}));
  EXPECT_EQ(run(E::div_trunc, {{kMin, kMin}, {-1, 0}}), (List{kMin, 0}));
  EXPECT_EQ(run(E::div_floor, {{kMin, kMin}, {-1, 3}}), (List{kMin, kMin / 3 - 1}));
  EXPECT_EQ(run(E::remainder, {{kMin, kMax}, {-1, kMin}}), (List{0, -1}));
  EXPECT_EQ(run(E::fmod, {{kMin}, {-1}}), (List{0}));
  EXPECT_EQ(run(E::pow, {{3, -1, -1, 2, 2, 0}, {41, -3, kMin, 63, 64, -1}}),
            (List{-420491770248316829, -1, 1, kMin, 0, 0}));
  EXPECT_EQ(run(E::shift_left, {{1, 1, 1, 1}, {63, 64, -1, 62}}), (List{kMin, 0, 0, 1L << 62}));
  EXPECT_EQ(run(E::shift_right, {{-8, -8, 8, -8}, {1, 64, 64, -1}}), (List{-4, -1, 0, -1}));
  EXPECT_EQ(run(E::maximum, {{kMax}, {kMax - 1}}), (List{kMax}));
  EXPECT_EQ(run(E::bitwise_not, {{0, kMax}}), (List{-1, kMin}));
}

TEST(ElementwiseInteger, WrapsAtTheEndsOfSmallerTypes) {
  EXPECT_EQ(compute<int32_t>(E::mul, DType::i32, {{65536, INT32_MAX}, {65536, 2}}),
            (std::vector<int32_t>{0, -2}));
  EXPECT_EQ(compute<int32_t>(E::shift_left, DType::i32, {{1, 1, 3}, {31, 32, 30}}),
            (std::vector<int32_t>{INT32_MIN, 0, -1073741824}));
  EXPECT_EQ(compute<int16_t>(E::add, DType::i16, {{32767}, {1}}), (std::vector<int16_t>{-32768}));
  EXPECT_EQ(compute<int8_t>(E::abs, DType::i8, {{-128}}), (std::vector<int8_t>{-128}));
  EXPECT_EQ(compute<uint8_t>(E::neg, DType::u8, {{1, 0}}), (std::vector<uint8_t>{255, 0}));
  EXPECT_EQ(compute<uint8_t>(E::bitwise_not, DType::u8, {{1}}), (std::vector<uint8_t>{254}));
  EXPECT_EQ(compute<uint8_t>(E::sign, DType::u8, {{0, 200}}), (std::vector<uint8_t>{0, 1}));
  EXPECT_EQ(compute<int32_t>(E::relu, DType::i32, {{-3, 3}}), (std::vector<int32_t>{0, 3}));
}

}  // namespace
}  // namespace tutti
