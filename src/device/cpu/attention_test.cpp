// SPDX-License-Identifier: Apache-2.0
#include "device/cpu/attention.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/strided.h"
#include "device/cpu/isa.h"
#include "device/cpu/pool.h"

namespace tutti::cpu {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
// With a payload: arithmetic on the bits of a NaN may turn it into a number.
constexpr double kNan = __builtin_nanf("1");

enum class Layout { heads_first, interleaved, columns_apart, backwards };

/// Numbers in memory of a type and layout, [b, n, rows, columns], between guards.
struct Array {
  DType dtype = DType::f32;
  int64_t b = 0, n = 0, rows = 0, columns = 0;
  AttentionStrides strides;
  int64_t origin = 0, elements = 0;
  std::vector<uint8_t> bytes;

  Array(DType type, Layout layout, int64_t b_, int64_t n_, int64_t rows_, int64_t columns_)
      : dtype(type), b(b_), n(n_), rows(rows_), columns(columns_) {
    const int64_t line = columns + 3;  // rows do not touch each other
    strides = {n * rows * line, rows * line, line, 1};
    if (layout == Layout::interleaved) strides = {rows * n * columns, columns, n * columns, 1};
    if (layout == Layout::columns_apart) strides = {n * rows * columns, rows * columns, 1, rows};
    if (layout == Layout::backwards) strides = {n * rows * line, -rows * line, -line, 1};
    elements = b * n * rows * line + 1;
    if (layout == Layout::backwards)
      origin = std::max<int64_t>(n - 1, 0) * rows * line + std::max<int64_t>(rows - 1, 0) * line;
    bytes.assign(static_cast<size_t>(elements) * size_of(dtype), 0x5a);
  }

  void* data() { return bytes.data() + origin * static_cast<int64_t>(size_of(dtype)); }
  int64_t at(int64_t i, int64_t head, int64_t row, int64_t column) const {
    return origin + i * strides.b + head * strides.n + row * strides.row + column * strides.column;
  }
  double get(int64_t i, int64_t head, int64_t row, int64_t column) const {
    return with_dtype(dtype, [&](auto type) {
      const auto* typed = reinterpret_cast<const decltype(type)*>(bytes.data());
      return convert<double>(typed[at(i, head, row, column)]);
    });
  }
  void set(int64_t i, int64_t head, int64_t row, int64_t column, double value) {
    with_dtype(dtype, [&](auto type) {
      using T = decltype(type);
      reinterpret_cast<T*>(bytes.data())[at(i, head, row, column)] = convert<T>(value);
    });
  }
  template <class F>
  void fill(const F& value) {
    for (int64_t i = 0; i < b; ++i)
      for (int64_t head = 0; head < n; ++head)
        for (int64_t row = 0; row < rows; ++row)
          for (int64_t column = 0; column < columns; ++column)
            set(i, head, row, column, value(i, head, row, column));
  }
};

struct Case {
  int64_t b = 1, n = 1, n_kv = 1, s = 1, t = 1, d = 1, dv = 1;
  DType dtype = DType::f32;
  Layout layout = Layout::heads_first;
  double scale = 0.25;
  Band band = {};
  bool masked = false;
  DType mask_dtype = DType::boolean;
  bool mask_per_head = false, mask_per_query = true;

  std::string text() const {
    return join(b, "x", n, "/", n_kv, " heads, ", s, "x", t, "x", d, "/", dv, " ", dtype,
                " layout ", static_cast<int>(layout), " band ", band.left, ",", band.right, "+",
                band.offset, masked ? " masked " : " ", mask_dtype, mask_per_head, mask_per_query);
  }
};

/// Inputs of a case, and what comes out of a plain double loop.
struct Problem {
  Case c;
  Array q, k, v, mask;
  AttentionSpec spec;
  std::vector<double> out, lse;

  explicit Problem(const Case& c_)
      : c(c_),
        q(c.dtype, c.layout, c.b, c.n, c.s, c.d),
        k(c.dtype, c.layout, c.b, c.n_kv, c.t, c.d),
        v(c.dtype, c.layout, c.b, c.n_kv, c.t, c.dv),
        mask(c.mask_dtype, c.layout, 1, c.mask_per_head ? c.n : 1, c.mask_per_query ? c.s : 1,
             c.t) {
    std::mt19937 random(17);
    std::uniform_real_distribution<double> number(-2, 2);
    const auto any = [&](auto...) { return number(random); };
    q.fill(any);
    k.fill(any);
    v.fill(any);
    const bool boolean = c.mask_dtype == DType::boolean;
    mask.fill([&](auto...) {
      const double x = number(random);
      return boolean ? (x < 0.5 ? 1 : 0) : (x < -1.5 ? -kInf : x);
    });
    spec = {c.b, c.n, c.n_kv, c.s, c.t, c.d, c.dv, c.dtype};
    spec.q = q.strides;
    spec.k = k.strides;
    spec.v = v.strides;
    spec.scale = c.scale;
    spec.band = c.band;
    if (c.masked) {
      AttentionStrides strides = mask.strides;
      strides.b = 0;
      if (!c.mask_per_head) strides.n = 0;
      if (!c.mask_per_query) strides.row = 0;
      spec.mask = AttentionSpec::Mask{c.mask_dtype, strides};
    }
  }

  double score(int64_t i, int64_t head, int64_t query, int64_t key) const {
    double sum = 0;
    for (int64_t x = 0; x < c.d; ++x)
      sum += q.get(i, head, query, x) * k.get(i, head / (c.n / c.n_kv), key, x);
    sum *= c.scale;
    const int64_t position = query + c.band.offset;
    if (c.band.right >= 0 && key > position + c.band.right) return -kInf;
    if (c.band.left >= 0 && key < position - c.band.left) return -kInf;
    if (!c.masked) return sum;
    const double m = mask.get(0, c.mask_per_head ? head : 0, c.mask_per_query ? query : 0, key);
    if (c.mask_dtype == DType::boolean) return m != 0 ? sum : -kInf;
    return sum + m;
  }

  void solve() {
    std::vector<double> p(static_cast<size_t>(c.t));
    for (int64_t i = 0; i < c.b; ++i)
      for (int64_t head = 0; head < c.n; ++head)
        for (int64_t query = 0; query < c.s; ++query) solve(i, head, query, p);
  }

  void solve(int64_t i, int64_t head, int64_t query, std::vector<double>& p) {
    double max = -kInf, sum = 0;
    for (int64_t key = 0; key < c.t; ++key) {
      p[key] = score(i, head, query, key);
      max = std::max(max, p[key]);
    }
    for (double& x : p) {
      x = max == -kInf ? 0 : std::exp(x - max);
      sum += x;
    }
    lse.push_back(sum == 0 ? -kInf : max + std::log(sum));
    for (int64_t x = 0; x < c.dv; ++x) {
      double y = 0;
      for (int64_t key = 0; key < c.t; ++key) y += p[key] * v.get(i, head / (c.n / c.n_kv), key, x);
      out.push_back(sum == 0 ? 0 : y / sum);
    }
  }
};

Pool& pool_of(int threads) {
  static Pool one(1), two(2), four(4);
  return threads == 1 ? one : threads == 2 ? two : four;
}

struct Result {
  Array out;
  std::vector<double> lse;
};

/// Runs with a workspace of exactly the promised size, followed by a guard.
Result run(Problem& p, int threads) {
  Result result{Array(p.c.dtype, p.c.layout, p.c.b, p.c.n, p.c.s, p.c.dv),
                std::vector<double>(static_cast<size_t>(p.c.b * p.c.n * p.c.s), 7.0)};
  p.spec.out = result.out.strides;
  const Attention attention(p.spec);
  const size_t bytes = attention.workspace_bytes(threads);
  // Numbers left behind by others must not matter: all bits set is NaN.
  std::vector<uint8_t> workspace(bytes + 64, 0xff);
  attention.execute({p.q.data(), p.k.data(), p.v.data(), p.c.masked ? p.mask.data() : nullptr,
                     result.out.data(), result.lse.data()},
                    workspace.data(), pool_of(threads));
  if (p.c.dtype != DType::f64) {
    const std::vector<double> bits = result.lse;
    for (size_t i = 0; i < bits.size(); ++i)
      result.lse[i] = reinterpret_cast<const float*>(bits.data())[i];
  }
  for (size_t i = bytes; i < workspace.size(); ++i) EXPECT_EQ(workspace[i], 0xff);
  return result;
}

double tolerance(DType dtype) {
  if (dtype == DType::f64) return 1e-12;
  if (dtype == DType::bf16) return 0x1p-8;
  return dtype == DType::f16 ? 0x1p-10 : 4e-6;
}

void expect_near(double found, double wanted, double error, const char* what, int64_t index) {
  if (std::isnan(wanted) ? std::isnan(found) : found == wanted) return;
  ASSERT_LE(std::abs(found - wanted), error * (1 + std::abs(wanted))) << what << " " << index;
}

void compare(const Problem& p, const Result& result) {
  int64_t index = 0;
  for (int64_t i = 0; i < p.c.b; ++i)
    for (int64_t head = 0; head < p.c.n; ++head)
      for (int64_t query = 0; query < p.c.s; ++query) {
        const int64_t row = (i * p.c.n + head) * p.c.s + query;
        expect_near(result.lse[row], p.lse[row], p.c.dtype == DType::f64 ? 1e-12 : 4e-6, "lse",
                    row);
        for (int64_t x = 0; x < p.c.dv; ++x, ++index) {
          expect_near(result.out.get(i, head, query, x), p.out[index], tolerance(p.c.dtype), "out",
                      index);
        }
      }
}

/// Calls f under every instruction set of this machine.
template <class F>
void on_every_isa(const F& f) {
  const Isa before = current_isa();
  for (int i = 0; i < kIsaCount; ++i) {
    const Isa isa = static_cast<Isa>(i);
    if (!is_supported(isa)) continue;
    SCOPED_TRACE(to_string(isa));
    set_isa(isa);
    f();
  }
  set_isa(before);
}

/// Compares with the plain loop on every instruction set, and 2 and 4 threads bit by bit with 1;
/// elements that are not of the result stay as they were.
void check(Problem& p) {
  SCOPED_TRACE(p.c.text());
  p.solve();
  on_every_isa([&] {
    Result one = run(p, 1);
    compare(p, one);
    for (const int threads : {2, 4}) {
      const Result more = run(p, threads);
      EXPECT_EQ(more.out.bytes, one.out.bytes) << threads << " threads";
      EXPECT_TRUE(one.lse.empty() ||
                  std::memcmp(more.lse.data(), one.lse.data(), 8 * one.lse.size()) == 0);
    }
    one.out.fill([](auto...) { return 0; });
    Array untouched(p.c.dtype, p.c.layout, p.c.b, p.c.n, p.c.s, p.c.dv);
    untouched.fill([](auto...) { return 0; });
    EXPECT_EQ(one.out.bytes, untouched.bytes);
  });
}

void check(const Case& c) {
  Problem p(c);
  check(p);
}

TEST(Attention, MatchesAPlainLoopOverOddShapes) {
  for (const int64_t s : {1, 2, 5, 9, 16, 17, 33, 50, 97, 200})
    for (const int64_t t : {1, 3, 15, 16, 64, 97, 130})
      check({1, 2, 2, s, t, s % 3 == 0 ? 24 : 13, t % 2 == 0 ? 16 : 7});
}

TEST(Attention, TakesAnyWidthOfHeads) {
  for (const int64_t d : {1, 2, 3, 8, 15, 24, 31, 48, 64, 80, 128, 160, 512}) {
    for (const int64_t s : {1, 3, 19}) {
      Case c{2, 1, 1, s, 37, d, d};
      c.scale = 1 / std::sqrt(static_cast<double>(d));
      check(c);
      c.dv = 5;
      check(c);
    }
    check({1, 1, 1, 19, 37, 8, d});
  }
}

TEST(Attention, ReadsAndWritesEveryLayout) {
  for (const Layout layout : {Layout::interleaved, Layout::columns_apart, Layout::backwards})
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64})
      for (const int64_t s : {1, 40})
        for (const int64_t d : {13, 32}) {
          Case c{2, 3, 3, s, 45, d, d + 3, dtype, layout};
          check(c);
          c.masked = true;
          c.mask_dtype = dtype;
          check(c);
        }
}

TEST(Attention, RoundsOnceToSmallTypes) {
  for (const DType dtype : {DType::bf16, DType::f16, DType::f64}) {
    check({1, 2, 1, 70, 150, 24, 40, dtype});
    check({1, 2, 1, 1, 150, 24, 40, dtype});
    check({1, 6, 2, 2, 300, 128, 64, dtype});
  }
}

TEST(Attention, SharesKeysAndValuesAmongHeads) {
  for (const int64_t heads : {3, 6, 12, 24})
    for (const int64_t s : {1, 2, 11, 40}) {
      Case c{2, heads, 3, s, 50, 20, 12};
      check(c);
      c.band.right = 0;
      check(c);
      c.masked = c.mask_per_head = true;
      check(c);
    }
}

TEST(Attention, LetsQueriesSeeNoLaterKeysWhenCausal) {
  for (const int64_t s : {1, 4, 30, 100, 260})
    for (const int64_t t : {1, 16, 31, 100, 270}) {
      Case c{1, 2, 2, s, t, 16, 8};
      c.band.right = 0;
      check(c);
      c.dtype = DType::f64;
      check(c);
    }
}

TEST(Attention, CountsKeysFromAnOffsetWhenCausal) {
  for (const int64_t offset : {-300, -40, -3, -1, 1, 5, 33, 200})
    for (const int64_t heads : {2, 6})
      for (const int64_t s : {1, 30, 100}) {
        Case c{1, heads, 2, s, 120, 16, 8};
        c.band = {-1, 0, offset};
        check(c);
        c.dtype = DType::f64;
        check(c);
      }
}

// Windows of one key, ones that reach over all keys, those of both sides, and those that begin
// before or end behind all keys.
TEST(Attention, SeesTheKeysOfABandOnly) {
  for (const Band& band :
       {Band{0, 0}, Band{0, 0, 7}, Band{5, 0}, Band{5, 0, -20}, Band{3, 40, 9}, Band{130, 0},
        Band{40, 40}, Band{1000, 1000}, Band{12, -1}, Band{0, -1, -4}, Band{2, 3, 300},
        Band{INT64_MAX, 0}, Band{6, INT64_MAX / 2, 2}})
    for (const auto& [heads, s, t] :
         {std::tuple{2, 1, 300}, {2, 4, 200}, {6, 3, 150}, {2, 100, 120}, {6, 70, 40}}) {
      Case c{1, heads, 2, s, t, 16, 8};
      c.band = band;
      check(c);
      c.masked = true;
      c.dtype = DType::f64;
      check(c);
      c.dtype = DType::bf16;
      check(c);
    }
}

// Few rows and many keys: keys are split, counted from where the band begins.
TEST(Attention, SplitsTheKeysOfABand) {
  for (const Band& band :
       {Band{1200, 0, 2500}, Band{100, 0, 2900}, Band{-1, 0, 700}, Band{900, -1, 950}})
    for (const int64_t s : {1, 20}) {
      Case c{1, 2, 1, s, 3000, 64, 32};
      c.band = band;
      check(c);
    }
}

TEST(Attention, AppliesMasksOfEveryTypeAndBroadcast) {
  for (const DType dtype : {DType::boolean, DType::f32, DType::bf16, DType::f16})
    for (const bool per_head : {false, true})
      for (const bool per_query : {false, true})
        for (const int64_t s : {1, 3, 55}) {
          Case c{2, 4, 2, s, 110, 12, 9};
          c.masked = true;
          c.mask_dtype = dtype;
          c.mask_per_head = per_head;
          c.mask_per_query = per_query;
          check(c);
          c.band.right = 0;
          c.layout = Layout::interleaved;
          check(c);
        }
}

TEST(Attention, AddsMasksOfAnyFloatTypeToF64) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16, DType::f16}) {
    Case c{1, 2, 2, 7, 80, 5, 6, DType::f64};
    c.masked = true;
    c.mask_dtype = dtype;
    check(c);
  }
}

TEST(Attention, GivesZeroWhereNothingMayBeAttendedTo) {
  for (const DType mask : {DType::boolean, DType::f32})
    for (const int64_t s : {1, 40})
      for (const DType dtype : {DType::f32, DType::f64}) {
        Case c{1, 2, 2, s, 200, 8, 8, dtype};
        c.masked = true;
        c.mask_dtype = mask;
        Problem p(c);
        // Query 0 sees nothing; the last one nothing in its first 150 keys.
        for (int64_t key = 0; key < c.t; ++key)
          p.mask.set(0, 0, 0, key, mask == DType::boolean ? 0 : -kInf);
        for (int64_t key = 0; key < 150; ++key)
          p.mask.set(0, 0, s - 1, key, mask == DType::boolean ? 0 : -kInf);
        p.v.set(0, 0, 199, 3, kInf);
        check(p);
        EXPECT_EQ(p.out[0], 0);
        EXPECT_EQ(p.lse[0], -kInf);
      }
}

TEST(Attention, TreatsTheLowestFiniteAddendAsFinite) {
  for (const int64_t s : {1, 30}) {
    Case c{1, 1, 1, s, 100, 8, 8};
    c.masked = true;
    c.mask_dtype = DType::f32;
    Problem p(c);
    p.mask.fill([](auto...) { return -std::numeric_limits<float>::max(); });
    on_every_isa([&] {
      const Result result = run(p, 1);
      for (int64_t x = 0; x < c.dv; ++x) {
        double mean = 0;
        for (int64_t key = 0; key < c.t; ++key) mean += p.v.get(0, 0, key, x) / 100;
        EXPECT_NEAR(result.out.get(0, 0, s - 1, x), mean, 1e-5);
      }
    });
  }
}

TEST(Attention, StaysExactForLargeScores) {
  for (const double scale : {-3.0, 30.0, 1000.0}) {
    Case c{1, 1, 1, 20, 300, 16, 4, DType::f64};
    c.scale = scale;
    check(c);
    c.scale = scale > 0 ? std::min(scale, 5.0) : scale;
    c.dtype = DType::f32;
    Problem p(c);
    p.solve();
    on_every_isa([&] {
      const Result result = run(p, 1);
      for (int64_t query = 0; query < c.s; ++query)
        for (int64_t x = 0; x < c.dv; ++x)
          EXPECT_NEAR(result.out.get(0, 0, query, x), p.out[query * c.dv + x], 5e-5);
    });
  }
}

TEST(Attention, SplitsManyKeysOfFewQueries) {
  for (const int64_t s : {1, 3, 20})
    for (const int64_t t : {513, 2100, 3000}) {
      Case c{1, 2, 1, s, t, 64, 32};
      check(c);
      c.masked = true;
      if (s > 1) c.band.right = 0;
      check(c);
      c.dtype = DType::bf16;
      check(c);
    }
}

TEST(Attention, PassesNanOn) {
  for (const int64_t s : {2, 40}) {
    Problem p({1, 1, 1, s, 150, 8, 8});
    p.q.set(0, 0, 1, 4, kNan);
    p.solve();
    on_every_isa([&] {
      const Result result = run(p, 1);
      EXPECT_FALSE(std::isnan(result.out.get(0, 0, 0, 0)));
      for (int64_t x = 0; x < 8; ++x) EXPECT_TRUE(std::isnan(result.out.get(0, 0, 1, x)));
      EXPECT_TRUE(std::isnan(result.lse[1]));
    });
    p.q.set(0, 0, 1, 4, 1);
    p.v.set(0, 0, 149, 5, kNan);
    on_every_isa([&] {
      const Result result = run(p, 1);
      for (int64_t query = 0; query < s; ++query)
        for (int64_t x = 0; x < 8; ++x)
          EXPECT_EQ(std::isnan(result.out.get(0, 0, query, x)), x == 5);
    });
  }
}

TEST(Attention, TakesEmptySizes) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    check({0, 2, 2, 3, 4, 5, 6, dtype});
    check({1, 0, 0, 3, 4, 5, 6, dtype});
    check({1, 2, 2, 0, 4, 5, 6, dtype});
    check({1, 2, 2, 3, 0, 5, 6, dtype});
    check({1, 2, 2, 30, 0, 5, 6, dtype});
    check({1, 2, 2, 3, 4, 0, 6, dtype});
    check({1, 2, 2, 30, 4, 0, 6, dtype});
    check({1, 2, 2, 3, 4, 5, 0, dtype});
    check({1, 2, 2, 30, 4, 5, 0, dtype});
  }
}

TEST(Attention, NeedsMemoryForAFewBlocksOnly) {
  AttentionSpec spec{1, 8, 8, 100000, 100000, 64, 64};
  EXPECT_LT(Attention(spec).workspace_bytes(2), size_t{2} << 20);
}

TEST(Attention, RefusesWhatDoesNotFit) {
  EXPECT_THROW(Attention({1, 8, 3, 4, 4, 4, 4}), Error);
  EXPECT_THROW(Attention({1, 8, 0, 4, 4, 4, 4}), Error);
  EXPECT_THROW(Attention({1, 8, 8, 4, -4, 4, 4}), Error);
  EXPECT_THROW(Attention({1, 8, 8, 4, 4, 4, 4, DType::i32}), Error);
  AttentionSpec spec{1, 1, 1, 4, 4, 4, 4};
  spec.mask = AttentionSpec::Mask{DType::f64, {}};
  EXPECT_THROW(Attention{spec}, Error);
}

}  // namespace
}  // namespace tutti::cpu
