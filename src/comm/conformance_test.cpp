// SPDX-License-Identifier: Apache-2.0
// Every collective on every kind of rank against plain loops.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "comm/ranks_for_tests.h"
#include "core/dispatch.h"

namespace tutti::comm {
namespace {

/// Small sizes, so that short messages already cross the borders of chunks and of ways to go.
GroupOptions small_options() {
  GroupOptions options;
  options.deadline_s = options.join_deadline_s = 20;
  options.shm = {1024, 128, 96, 256, 512};
  options.tcp = {2048, 1024, 96, 512};
  return options;
}

std::vector<int64_t> counts_for(size_t element) {
  const auto chunk = static_cast<int64_t>(1024 / element);
  return {0, 1, 3, 17, chunk / 4 + 1, chunk - 1, chunk, chunk + 1, 3 * chunk + 5};
}

/// Element i of what rank r gives.
template <class T>
T value(int r, int64_t i) {
  const int64_t mixed = (r * 7919 + i * 104729 + 13) % 1009;
  if constexpr (std::is_same_v<T, bool>) return mixed % 3 != 0;
  if constexpr (std::is_integral_v<T>) return static_cast<T>(mixed * 2654435761u);
  return T(static_cast<float>(mixed % 61 - 30) / 16.0f);
}

template <class T>
T plain_reduce(Reduce op, int size, int64_t i) {
  using C = ComputeType<T>;
  if constexpr (std::is_same_v<T, bool>) {
    bool result = value<T>(0, i);
    for (int r = 1; r < size; ++r)
      result = op == Reduce::max ? result || value<T>(r, i) : result && value<T>(r, i);
    return result;
  } else {
    C result = value<T>(0, i);
    for (int r = 1; r < size; ++r) {
      const C other = value<T>(r, i);
      // Wide and without a sign, where overflow is defined.
      using W = std::conditional_t<std::is_integral_v<C>, uint64_t, C>;
      if (op == Reduce::sum || op == Reduce::avg)
        result = static_cast<C>(static_cast<W>(result) + static_cast<W>(other));
      if (op == Reduce::prod)
        result = static_cast<C>(static_cast<W>(result) * static_cast<W>(other));
      if (op == Reduce::max) result = std::max(result, other);
      if (op == Reduce::min) result = std::min(result, other);
    }
    if (op == Reduce::avg) result = static_cast<C>(result / static_cast<C>(size));
    return T(result);
  }
}

/// A buffer with guards on both sides.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t n) : n_(n), bytes_(static_cast<size_t>(n) * sizeof(T) + 2 * kGuard) {
    memset(bytes_.data(), 0x5a, bytes_.size());
  }
  T* data() { return reinterpret_cast<T*>(bytes_.data() + kGuard); }
  template <class F>
  Buffer& fill(const F& f) {
    for (int64_t i = 0; i < n_; ++i) data()[i] = f(i);
    return *this;
  }
  template <class F>
  void check(const std::string& what, const F& f) {
    for (int64_t i = 0; i < n_; ++i) {
      const T wanted = f(i);
      if (memcmp(&wanted, data() + i, sizeof(T)) == 0) continue;
      expect(false, what + join(": element ", i, " of ", n_, " is ", static_cast<double>(data()[i]),
                                ", wanted ", static_cast<double>(wanted)));
    }
    check_guards(what);
  }
  void check_untouched(const std::string& what) {
    const bool same = std::all_of(bytes_.begin(), bytes_.end(), [](char c) { return c == 0x5a; });
    expect(same, what + ": touched though nothing was to come");
  }
  void check_guards(const std::string& what) {
    for (size_t i = 0; i < kGuard; ++i)
      if (bytes_[i] != 0x5a || bytes_[bytes_.size() - 1 - i] != 0x5a)
        expect(false, what + ": guard written");
  }

 private:
  static constexpr size_t kGuard = 64;
  int64_t n_;
  std::vector<char> bytes_;
};

std::string what_of(const Communicator& g, const Collective& c, bool in_place) {
  return join("rank ", g.rank(), " of ", g.size(), ": ", describe(c), in_place ? " in place" : "");
}

template <class T>
void one_reduce(Communicator& g, Collective c, bool in_place) {
  const int r = g.rank();
  const auto own = [&](int64_t i) { return value<T>(r, i); };
  const auto sum = [&](int64_t i) { return plain_reduce<T>(c.reduce, g.size(), i); };
  const std::string what = what_of(g, c, in_place);
  Buffer<T> in(c.count), out(c.count);
  in.fill(own);
  g.run(c, in.data(), in_place ? in.data() : out.data());
  const bool gets = c.kind == Kind::all_reduce || c.root == r;
  if (!gets && !in_place) out.check_untouched(what);
  if (gets) (in_place ? in : out).check(what, sum);
  if (!in_place || !gets) in.check(what + ", input", own);
}

template <class T>
void one_reduce_scatter(Communicator& g, Collective c, bool in_place) {
  const int64_t all = c.count * g.size(), mine = c.count * g.rank();
  const auto own = [&](int64_t i) { return value<T>(g.rank(), i); };
  const std::string what = what_of(g, c, in_place);
  Buffer<T> in(all), out(c.count);
  in.fill(own);
  g.run(c, in.data(), in_place ? in.data() + mine : out.data());
  const auto sum = [&](int64_t i) { return plain_reduce<T>(c.reduce, g.size(), mine + i); };
  if (!in_place) return out.check(what, sum);
  in.check(what,
           [&](int64_t i) { return i >= mine && i < mine + c.count ? sum(i - mine) : own(i); });
}

template <class T>
void one_gather(Communicator& g, Collective c, bool in_place) {
  const bool gets = c.kind == Kind::all_gather || c.root == g.rank();
  const auto all = [&](int64_t i) { return value<T>(static_cast<int>(i / c.count), i % c.count); };
  const std::string what = what_of(g, c, in_place);
  Buffer<T> in(c.count), out(c.count * g.size());
  in.fill([&](int64_t i) { return value<T>(g.rank(), i); });
  T* own = out.data() + c.count * g.rank();
  if (in_place)
    memcpy(static_cast<void*>(own), in.data(), static_cast<size_t>(c.count) * sizeof(T));
  g.run(c, in_place ? own : in.data(), gets ? out.data() : nullptr);
  if (gets) out.check(what, all);
}

template <class T>
void one_scatter(Communicator& g, Collective c, bool in_place) {
  const bool root = c.root == g.rank();
  const auto sent = [&](int64_t i) { return value<T>(c.root, i); };
  const std::string what = what_of(g, c, in_place);
  Buffer<T> in(root ? c.count * g.size() : 0), out(c.count);
  in.fill(sent);
  in_place = in_place && root;
  g.run(c, root ? in.data() : nullptr, in_place ? in.data() + c.count * c.root : out.data());
  if (in_place) return in.check(what, sent);
  out.check(what, [&](int64_t i) { return sent(c.count * g.rank() + i); });
}

template <class T>
void one_broadcast(Communicator& g, Collective c, bool in_place) {
  const bool root = c.root == g.rank();
  const auto sent = [&](int64_t i) { return value<T>(c.root, i); };
  Buffer<T> in(c.count), out(c.count);
  if (root) in.fill(sent);
  g.run(c, in.data(), in_place ? in.data() : out.data());
  (in_place ? in : out).check(what_of(g, c, in_place), sent);
}

template <class T>
void one_all_to_all(Communicator& g, Collective c, bool in_place) {
  Buffer<T> in(c.count * g.size()), out(c.count * g.size());
  in.fill([&](int64_t i) { return value<T>(g.rank(), i); });
  g.run(c, in.data(), in_place ? in.data() : out.data());
  (in_place ? in : out).check(what_of(g, c, in_place), [&](int64_t i) {
    return value<T>(static_cast<int>(i / c.count), c.count * g.rank() + i % c.count);
  });
}

/// Uneven, symmetric when it is to be in place; some are 0.
template <class T>
void one_all_to_all_v(Communicator& g, Collective c, bool in_place) {
  const auto count = [in_place, unit = c.count](int from, int to) {
    const int mixed = in_place ? from * to + from + to : 3 * from + 2 * to;
    return mixed % 3 == 0 ? 0 : unit * (mixed % 4) + mixed % 5;
  };
  const auto size = static_cast<size_t>(g.size());
  std::vector<int64_t> sends(size), receives(size);
  int64_t sent = 0, received = 0;
  for (int r = 0; r < g.size(); ++r) {
    sent += sends[static_cast<size_t>(r)] = count(g.rank(), r);
    received += receives[static_cast<size_t>(r)] = count(r, g.rank());
  }
  c.sends = sends;
  c.receives = receives;
  c.count = 0;
  Buffer<T> in(sent), out(received);
  in.fill([&](int64_t i) { return value<T>(g.rank(), i); });
  g.run(c, in.data(), in_place ? in.data() : out.data());
  std::vector<T> wanted;
  for (int from = 0; from < g.size(); ++from) {
    int64_t at = 0;
    for (int to = 0; to < g.rank(); ++to) at += count(from, to);
    for (int64_t i = 0; i < count(from, g.rank()); ++i) wanted.push_back(value<T>(from, at + i));
  }
  (in_place ? in : out).check(what_of(g, c, in_place), [&](int64_t i) {
    return static_cast<T>(wanted[static_cast<size_t>(i)]);
  });
}

class Conformance : public testing::TestWithParam<std::tuple<Place, int>> {
 protected:
  void run(const std::function<void(Communicator&)>& body,
           const GroupOptions& options = small_options()) {
    const auto [place, size] = GetParam();
    for (const Outcome& outcome : run_ranks(place, size, options, body)) {
      EXPECT_TRUE(outcome.ended);
      EXPECT_EQ(outcome.error, "");
    }
    EXPECT_EQ(leftovers(), "");
  }

  /// Calls f with every dtype, reduction and count. Messages over TCP take their time: there each
  /// dtype meets every reduction at some counts, and every count with some reductions.
  template <class F>
  void for_each_cell(Kind kind, const F& f) const {
    const bool all = !are_tcp(std::get<0>(GetParam()));
    for (int d = 0; d < kDTypeCount; ++d) {
      with_dtype(static_cast<DType>(d), [&](auto t) {
        const std::vector<int64_t> counts = counts_for(sizeof t);
        for (int o = 0; o < (reduces(kind) ? kReduceCount : 1); ++o) {
          const auto dtype = static_cast<DType>(d);
          const auto op = static_cast<Reduce>(o);
          if (reduces(kind) && !is_defined(dtype, op)) continue;
          for (size_t i = 0; i < counts.size(); ++i) {
            if (!all && (i + static_cast<size_t>(o + d)) % 4 != 0) continue;
            f(t, Collective{.kind = kind, .dtype = dtype, .reduce = op, .count = counts[i]});
          }
        }
      });
    }
  }
};

TEST_P(Conformance, AllReduceIsThePlainSum) {
  run([this](Communicator& g) {
    for_each_cell(Kind::all_reduce, [&](auto t, Collective c) {
      for (bool in_place : {false, true}) one_reduce<decltype(t)>(g, c, in_place);
    });
  });
}

TEST_P(Conformance, ReduceGivesTheRootThePlainSum) {
  run([this](Communicator& g) {
    for_each_cell(Kind::reduce, [&](auto t, Collective c) {
      c.root = static_cast<int>(c.count) % g.size();
      for (bool in_place : {false, true})
        one_reduce<decltype(t)>(g, c, in_place && c.root == g.rank());
    });
  });
}

TEST_P(Conformance, ReduceScatterGivesEachItsBlock) {
  run([this](Communicator& g) {
    for_each_cell(Kind::reduce_scatter, [&](auto t, Collective c) {
      for (bool in_place : {false, true}) one_reduce_scatter<decltype(t)>(g, c, in_place);
    });
  });
}

TEST_P(Conformance, AllGatherJoinsBlocksInOrder) {
  run([this](Communicator& g) {
    for_each_cell(Kind::all_gather, [&](auto t, Collective c) {
      for (bool in_place : {false, true}) one_gather<decltype(t)>(g, c, in_place);
    });
  });
}

TEST_P(Conformance, GatherJoinsBlocksAtEveryRoot) {
  run([this](Communicator& g) {
    for_each_cell(Kind::gather, [&](auto t, Collective c) {
      for (c.root = 0; c.root < g.size(); ++c.root)
        one_gather<decltype(t)>(g, c, c.root % 2 == 1 && c.root == g.rank());
    });
  });
}

TEST_P(Conformance, ScatterGivesBlocksOfEveryRoot) {
  run([this](Communicator& g) {
    for_each_cell(Kind::scatter, [&](auto t, Collective c) {
      for (c.root = 0; c.root < g.size(); ++c.root) one_scatter<decltype(t)>(g, c, c.root % 2 == 1);
    });
  });
}

TEST_P(Conformance, BroadcastGivesAllWhatEveryRootHas) {
  run([this](Communicator& g) {
    for_each_cell(Kind::broadcast, [&](auto t, Collective c) {
      for (c.root = 0; c.root < g.size(); ++c.root)
        one_broadcast<decltype(t)>(g, c, c.root % 2 == 1);
    });
  });
}

TEST_P(Conformance, AllToAllTransposesBlocks) {
  run([this](Communicator& g) {
    for_each_cell(Kind::all_to_all, [&](auto t, Collective c) {
      for (bool in_place : {false, true}) one_all_to_all<decltype(t)>(g, c, in_place);
      // One rank in place, the others not: their own affair.
      one_all_to_all<decltype(t)>(g, c, g.rank() == 0);
    });
  });
}

TEST_P(Conformance, AllToAllVMovesUnevenBlocks) {
  run([this](Communicator& g) {
    for_each_cell(Kind::all_to_all_v, [&](auto t, Collective c) {
      for (bool in_place : {false, true}) one_all_to_all_v<decltype(t)>(g, c, in_place);
    });
  });
}

TEST_P(Conformance, LargeMessagesAtUsualSizesOfChunks) {
  run(
      [](Communicator& g) {
        for (int64_t count : {70001, 300000}) {
          Collective c{.kind = Kind::all_reduce, .dtype = DType::bf16, .count = count};
          one_reduce<bf16>(g, c, false);
          c.dtype = DType::f32;
          one_reduce<float>(g, c, true);
          c.kind = Kind::reduce_scatter;
          one_reduce_scatter<float>(g, c, false);
          c.kind = Kind::all_gather;
          one_gather<float>(g, c, false);
          c.kind = Kind::all_to_all;
          one_all_to_all<float>(g, c, true);
          c.kind = Kind::all_to_all_v;
          one_all_to_all_v<float>(g, c, false);
          c.kind = Kind::broadcast;
          one_broadcast<float>(g, c, false);
        }
        if (g.size() == 1) return;
        std::vector<float> data(2'000'000, static_cast<float>(g.rank()));
        if (g.rank() == 0)
          g.run({.kind = Kind::send, .root = 1, .count = 2'000'000}, data.data(), nullptr);
        if (g.rank() == 1)
          g.run({.kind = Kind::recv, .root = 0, .count = 2'000'000}, nullptr, data.data());
        const auto wanted = static_cast<float>(g.rank() < 2 ? 0 : g.rank());
        expect(data == std::vector<float>(data.size(), wanted), "a large send");
      },
      {20, 20, {}, {}});
}

// The sums of the suite need no rounding twice: here are those that do, and what is not a number.
TEST_P(Conformance, SmallFloatsAreRoundedOnce) {
  run([](Communicator& g) {
    // 256 + 1 + ... is 256 + size - 1 in f32; in bf16 each addition of 1 to 256 would be lost.
    std::vector<bf16> x(40, bf16(g.rank() == 0 ? 256.0f : 1.0f));
    g.run({.kind = Kind::all_reduce, .dtype = DType::bf16, .count = 40}, x.data(), x.data());
    for (bf16 sum : x)
      expect(sum.bits == bf16(static_cast<float>(255 + g.size())).bits, "bf16 sum");
    std::vector<f8_e4m3> y(40, f8_e4m3(g.rank() == 0 ? 16.0f : 0.5f));
    g.run({.kind = Kind::all_reduce, .dtype = DType::f8_e4m3, .count = 40}, y.data(), y.data());
    for (f8_e4m3 sum : y)
      expect(sum.bits == f8_e4m3(16 + 0.5f * static_cast<float>(g.size() - 1)).bits, "f8 sum");
  });
}

TEST_P(Conformance, NotANumberWinsMaxAndMin) {
  run([](Communicator& g) {
    const auto wins = [&](auto t, DType dtype, Reduce op) {
      using T = decltype(t);
      for (int which = 0; which < g.size(); ++which) {
        std::vector<T> x(37, T(static_cast<float>(g.rank())));
        if (g.rank() == which) x[36] = x[3] = T(std::numeric_limits<float>::quiet_NaN());
        g.run({.kind = Kind::all_reduce, .dtype = dtype, .reduce = op, .count = 37}, x.data(),
              x.data());
        expect(std::isnan(static_cast<float>(x[3])) && std::isnan(static_cast<float>(x[36])),
               join(to_string(op), " of ", to_string(dtype)));
        expect(!std::isnan(static_cast<float>(x[4])), "a neighbour");
      }
    };
    for (Reduce op : {Reduce::max, Reduce::min}) {
      wins(float{}, DType::f32, op);
      wins(double{}, DType::f64, op);
      wins(f16{}, DType::f16, op);
      wins(bf16{}, DType::bf16, op);
      wins(f8_e5m2{}, DType::f8_e5m2, op);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, Conformance, all_places_and_sizes(), PlaceName());

}  // namespace
}  // namespace tutti::comm
