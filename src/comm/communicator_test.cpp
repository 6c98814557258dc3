// SPDX-License-Identifier: Apache-2.0
#include "tutti/communicator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

#include "comm/ranks_for_tests.h"

namespace tutti::comm {
namespace {

GroupOptions quick() {
  GroupOptions options;
  options.deadline_s = options.join_deadline_s = 20;
  options.shm = {1024, 128, 96, 256, 512};
  options.tcp = {2048, 1024, 96, 512};
  return options;
}

class Communicators : public testing::TestWithParam<std::tuple<Place, int>> {
 protected:
  void run(const std::function<void(Communicator&)>& body) {
    const auto [place, size] = GetParam();
    for (const Outcome& outcome : run_ranks(place, size, quick(), body)) {
      EXPECT_TRUE(outcome.ended);
      EXPECT_EQ(outcome.error, "");
    }
    EXPECT_EQ(leftovers(), "");
  }
};

Collective sum(int64_t count) {
  return {.kind = Kind::all_reduce, .dtype = DType::i64, .count = count, .label = "sum"};
}

TEST_P(Communicators, SendsReachTheirRecvsInOrderAtAnySize) {
  run([](Communicator& g) {
    const int next = (g.rank() + 1) % g.size(), last = (g.rank() + g.size() - 1) % g.size();
    if (next == g.rank()) return;
    for (int64_t count : {0, 1, 11, 12, 13, 100, 1000}) {
      std::vector<int64_t> in(static_cast<size_t>(count)), out(in.size(), -1);
      std::iota(in.begin(), in.end(), g.rank() * 1000);
      const Collective send{.kind = Kind::send, .dtype = DType::i64, .root = next, .count = count};
      const Collective recv{.kind = Kind::recv, .dtype = DType::i64, .root = last, .count = count};
      const Request sent = g.start(send, in.data(), nullptr);
      g.wait(g.start(recv, nullptr, out.data()));
      g.wait(sent);
      for (size_t i = 0; i < out.size(); ++i)
        expect(out[i] == last * 1000 + static_cast<int64_t>(i), join(count, " at ", i));
    }
  });
}

TEST_P(Communicators, ManyStartsOutstandingEndInOrder) {
  run([](Communicator& g) {
    constexpr int kStarts = 200;
    std::vector<std::vector<int64_t>> data(kStarts, std::vector<int64_t>(100));
    std::vector<Request> requests;
    for (int k = 0; k < kStarts; ++k) {
      data[static_cast<size_t>(k)].assign(100, g.rank() + k);
      int64_t* at = data[static_cast<size_t>(k)].data();
      requests.push_back(g.start(sum(100), at, at));
    }
    // A blocking one takes its turn behind them.
    int64_t one = 1;
    g.run(sum(1), &one, &one);
    expect(one == g.size(), "the blocking sum");
    for (int k = kStarts; k-- > 0;) g.wait(requests[static_cast<size_t>(k)]);
    const int64_t ranks = g.size() * (g.size() - 1) / 2;
    for (int k = 0; k < kStarts; ++k)
      for (int64_t x : data[static_cast<size_t>(k)])
        if (x != ranks + int64_t{k} * g.size()) expect(false, join("start ", k, " gives ", x));
  });
}

TEST_P(Communicators, SendsOnTheirWayDoNotOvertakeEachOther) {
  run([](Communicator& g) {
    const int next = (g.rank() + 1) % g.size(), last = (g.rank() + g.size() - 1) % g.size();
    if (next == g.rank()) return;
    constexpr int kMessages = 30;
    constexpr int64_t kCount = 1000;  // several chunks of the channel
    std::vector<std::vector<int64_t>> in(kMessages), out(kMessages);
    std::vector<Request> requests;
    for (size_t k = 0; k < kMessages; ++k) {
      in[k].assign(kCount, g.rank() * 100 + static_cast<int64_t>(k));
      out[k].assign(kCount, -1);
      requests.push_back(
          g.start({.kind = Kind::send, .dtype = DType::i64, .root = next, .count = kCount},
                  in[k].data(), nullptr));
      requests.push_back(
          g.start({.kind = Kind::recv, .dtype = DType::i64, .root = last, .count = kCount}, nullptr,
                  out[k].data()));
    }
    for (Request request : requests) g.wait(request);
    for (size_t k = 0; k < kMessages; ++k)
      expect(out[k] == std::vector<int64_t>(kCount, last * 100 + static_cast<int64_t>(k)),
             join("message ", k));
  });
}

TEST_P(Communicators, AllPairsExchangeAtOnce) {
  run([](Communicator& g) {
    const auto size = static_cast<size_t>(g.size());
    std::vector<std::vector<int64_t>> in(size), out(size);
    std::vector<Request> requests;
    for (int r = 0; r < g.size(); ++r) {
      const auto i = static_cast<size_t>(r);
      if (r == g.rank()) continue;
      in[i].assign(500, g.rank() * 100 + r);
      out[i].assign(500, -1);
      requests.push_back(g.start({.kind = Kind::send, .dtype = DType::i64, .root = r, .count = 500},
                                 in[i].data(), nullptr));
      requests.push_back(g.start({.kind = Kind::recv, .dtype = DType::i64, .root = r, .count = 500},
                                 nullptr, out[i].data()));
    }
    for (Request request : requests) g.wait(request);
    for (int r = 0; r < g.size(); ++r)
      for (int64_t x : out[static_cast<size_t>(r)])
        if (x != r * 100 + g.rank()) expect(false, join("from ", r, " came ", x));
  });
}

TEST_P(Communicators, WhatWasSentArrivesWhenItsSenderHasLeft) {
  run([](Communicator& g) {
    std::vector<int64_t> data(30000, g.rank());
    g.run({.kind = Kind::broadcast, .dtype = DType::i64, .count = 30000}, data.data(), data.data());
    if (g.rank() == 0) {
      for (int r = 1; r < g.size(); ++r)
        g.run({.kind = Kind::send, .dtype = DType::i64, .root = r, .count = 8}, data.data(),
              nullptr);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    data.assign(8, -1);
    g.run({.kind = Kind::recv, .dtype = DType::i64, .root = 0, .count = 8}, nullptr, data.data());
    expect(data == std::vector<int64_t>(8, 0), "what came");
  });
}

TEST_P(Communicators, SplitMakesGroupsOrderedByKey) {
  run([](Communicator& g) {
    // Odd and even ranks, backwards; the last rank stays out.
    const bool out = g.rank() == g.size() - 1;
    std::optional<Communicator> part = g.split(out ? -1 : g.rank() % 2, -g.rank());
    expect(part.has_value() == !out, "a group for all but the last");
    if (part) {
      std::vector<int64_t> ranks(static_cast<size_t>(part->size()));
      const int64_t mine = g.rank();
      part->run({.kind = Kind::all_gather, .dtype = DType::i64, .count = 1}, &mine, ranks.data());
      for (size_t i = 0; i < ranks.size(); ++i) {
        expect(ranks[i] % 2 == g.rank() % 2, "another colour");
        expect(i == 0 || ranks[i] < ranks[i - 1], "not backwards");
      }
      expect(ranks[static_cast<size_t>(part->rank())] == g.rank(), "not its own place");
    }
    // Several groups at once, one started while the other runs.
    int64_t a = 1, b = 1;
    const Request all = g.start(sum(1), &a, &a);
    if (part) part->run(sum(1), &b, &b);
    g.wait(all);
    expect(a == g.size() && (!part || b == part->size()), "sums of two groups");
  });
}

TEST_P(Communicators, GivesTheSameBitsOnEveryRankAndRun) {
  // Where hosts add for themselves first, by_hosts_test.cpp says in which order.
  const bool in_order = std::get<0>(GetParam()) != Place::tcp_hosts;
  run([&](Communicator& g) {
    std::vector<float> in(5000), out(in.size()), first(in.size()), others(in.size());
    const auto value = [](int r, size_t i) {
      return 1.0f / static_cast<float>(1 + (i * 37 + static_cast<size_t>(r) * 101) % 997);
    };
    for (size_t i = 0; i < in.size(); ++i) in[i] = value(g.rank(), i);
    for (int k = 0; k < 5; ++k) {
      g.run({.kind = Kind::all_reduce, .count = 5000}, in.data(), out.data());
      others = out;
      g.run({.kind = Kind::broadcast, .count = 5000}, others.data(), others.data());
      if (k == 0) first = out;
      expect(out == others, "another rank has other bits");
      expect(out == first, "another run has other bits");
    }
    for (size_t i = 0; in_order && i < in.size(); ++i) {
      float sum = value(0, i);
      for (int r = 1; r < g.size(); ++r) sum += value(r, i);
      expect(out[i] == sum, "not added in the order of ranks");
    }
  });
}

TEST_P(Communicators, TensorsGiveTheCounts) {
  run([](Communicator& g) {
    Tensor in = Tensor::zeros(DType::i32, {2, 3});
    Tensor all = Tensor::zeros(DType::i32, {2 * g.size(), 3});
    for (int i = 0; i < 6; ++i) in.as<int32_t>()[i] = g.rank() * 10 + i;
    g.all_gather(in, all, "x");
    for (int i = 0; i < 6 * g.size(); ++i)
      expect(all.as<int32_t>()[i] == i / 6 * 10 + i % 6, "all_gather");
    Tensor strided = all;
    strided.strides[0] = 1;
    strided.strides[1] = 2 * g.size();
    const Outcome refused = outcome_of([&] { g.broadcast(0, strided, "y"); });
    expect(refused.code == Errc::invalid_argument &&
               refused.error.find("contiguous is wanted") != std::string::npos,
           refused.error);
    // Nothing was sent: the group goes on.
    g.all_reduce(Reduce::max, in, in, "z");
    expect(in.as<int32_t>()[5] == (g.size() - 1) * 10 + 5, "all_reduce");
  });
}

TEST_P(Communicators, RefuseWhatIsNotDefinedBeforeAnythingIsSent) {
  run([](Communicator& g) {
    char data[64] = {};
    const auto refuses = [&](Collective c, const void* in, void* out, const std::string& text) {
      const Outcome o = outcome_of([&] { g.run(c, in, out); });
      expect(o.code == Errc::invalid_argument && o.error.find(text) != std::string::npos,
             "wanted: " + text + "; found: " + o.error);
    };
    Collective c{.kind = Kind::all_reduce,
                 .dtype = DType::i32,
                 .reduce = Reduce::avg,
                 .count = 1,
                 .label = "a"};
    refuses(c, data, data, "all_reduce 'a': avg of i32 is not defined");
    c.dtype = DType::boolean;
    c.reduce = Reduce::sum;
    refuses(c, data, data, "sum of bool is not defined; bool has max (or) and min (and)");
    c.kind = Kind::broadcast;
    c.root = g.size();
    refuses(c, data, data, join("root ", g.size(), " of a group of ", g.size()));
    c = {.kind = Kind::send, .root = g.rank()};
    refuses(c, data, nullptr, "is its own peer");
    c = {.kind = Kind::all_reduce, .count = -1};
    refuses(c, data, data, "count -1: 0 or more is wanted");
    c = {.kind = Kind::all_reduce, .count = 2};
    refuses(c, data, data + 4, "overlap, but not as in place");
    refuses(c, nullptr, data, "no input is given, 8 bytes are wanted");
    c = {.kind = Kind::all_to_all_v};
    refuses(c, data, data, join("0 sends for a group of ", g.size()));
    g.barrier();
  });
}

TEST_P(Communicators, HistoryHoldsTheLast32OfEveryRank) {
  run([](Communicator& g) {
    int64_t x = 0;
    for (int i = 0; i < 40; ++i) {
      const std::string label = join("step ", i);
      Collective c = sum(1);
      c.label = label;
      g.run(c, &x, &x);
    }
    const auto history = g.history();
    g.barrier();
    expect(history.size() == static_cast<size_t>(g.size()), "not all ranks");
    expect(history[static_cast<size_t>(g.rank())].size() == 32, "not 32");
    const Entry& last = history[static_cast<size_t>(g.rank())].back();
    expect(to_string(last) == "all_reduce #40 'step 39' (sum i64 x 1)", to_string(last));
    const std::string text = to_text({history[static_cast<size_t>(g.rank())]});
    expect(text.find("rank 0\n  all_reduce #9 'step 8' (sum i64 x 1)") == 0, text);
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, Communicators, all_places_and_sizes(), PlaceName());

}  // namespace
}  // namespace tutti::comm
