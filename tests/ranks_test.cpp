// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "networks_for_tests.h"

// Engines with collectives, bound to ranks that are threads.
namespace tutti {
namespace {

Expression add(GraphBuilder& graph, std::string_view op, const std::vector<Expression>& operands,
               const AttributeList& attributes) {
  return graph.add(op, operands, attributes)[0];
}

/// A row of TensorRT's sample: rank r's x, and y on each rank; empty where it is not defined.
struct Sample {
  std::string op;
  AttributeList attributes;
  std::vector<float> x0, x1, y0, y1;
};

std::vector<float> count(float first, float step) {
  std::vector<float> values;
  for (int i = 0; i < 12; ++i) values.push_back(first + static_cast<float>(i) * step);
  return values;
}

const std::vector<Sample>& samples() {
  static const std::vector<float> a = count(1, 1), b = count(10, 10), c = count(0, 1),
                                  d = count(100, 1), n(12, 99);
  static const std::vector<float> gathered = {0, 1, 2,  3,  100, 101, 102, 103,
                                              4, 5, 6,  7,  104, 105, 106, 107,
                                              8, 9, 10, 11, 108, 109, 110, 111};
  static const std::vector<Sample> all = {
      {"all_reduce", {}, a, b, count(11, 11), count(11, 11)},
      {"reduce_to", {{"root", 0}}, a, b, count(11, 11), {}},
      {"broadcast", {{"root", 0}}, a, n, a, a},
      {"reduce_scatter",
       {{"axis", 1}},
       a,
       b,
       {11, 22, 55, 66, 99, 110},
       {33, 44, 77, 88, 121, 132}},
      {"all_gather", {{"axis", 1}}, c, d, gathered, gathered},
      {"gather_to", {{"root", 0}, {"axis", 1}}, c, d, gathered, {}},
      {"all_to_all",
       {{"split_axis", 1}, {"concat_axis", 1}},
       c,
       d,
       {0, 1, 100, 101, 4, 5, 104, 105, 8, 9, 108, 109},
       {2, 3, 102, 103, 6, 7, 106, 107, 10, 11, 110, 111}},
      {"scatter_from", {{"root", 0}, {"axis", 1}}, c, n, {0, 1, 4, 5, 8, 9}, {2, 3, 6, 7, 10, 11}},
  };
  return all;
}

class Samples : public testing::TestWithParam<size_t> {};

TEST_P(Samples, GiveTheNumbersOfTensorRt) {
  const Sample& s = samples()[GetParam()];
  AttributeList attributes = s.attributes;
  attributes.emplace_back("size", 2);
  const Engine engine = network({3, 4}, [&](GraphBuilder& graph, const Expression& x) {
    return add(graph, s.op, {x}, attributes);
  });
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const bool first = ranks.rank() == 0;
    const auto found =
        values_of(session.run({{"x", numbers({3, 4}, first ? s.x0 : s.x1)}}).at("y"));
    const std::vector<float>& wanted = first ? s.y0 : s.y1;
    if (wanted.empty())
      EXPECT_EQ(found, std::vector<float>(found.size(), 0));
    else
      EXPECT_EQ(found, wanted);
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, Samples, testing::Range<size_t>(0, 8),
                         [](const auto& p) { return samples()[p.param].op; });

TEST(Ranks, CutOneAxisAndJoinAnother) {
  const Engine engine = network({2, 4}, [](GraphBuilder& graph, const Expression& x) {
    return add(graph, "all_to_all", {x}, {{"split_axis", 1}, {"concat_axis", 0}, {"size", 2}});
  });
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const float r = static_cast<float>(100 * ranks.rank());
    const Tensor y =
        session.run({{"x", numbers({2, 4}, {r, r + 1, r + 2, r + 3, r + 4, r + 5, r + 6, r + 7})}})
            .at("y");
    EXPECT_EQ(y.shape, (Dims{4, 2}));
    const std::vector<float> low = {0, 1, 4, 5, 100, 101, 104, 105},
                             high = {2, 3, 6, 7, 102, 103, 106, 107};
    EXPECT_EQ(values_of(y), ranks.rank() == 0 ? low : high);
  });
}

TEST(Ranks, UseTheirOwnListAndItsOrder) {
  const Engine engine = network({1}, [](GraphBuilder& graph, const Expression& x) {
    return add(graph, "all_gather", {x},
               {{"ranks", std::vector<int64_t>{2, 0, 1, 3}}, {"size", 2}});
  });
  run_ranks(5, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const auto found = values_of(
        session.run({{"x", numbers({1}, {10.f + static_cast<float>(ranks.rank())})}}).at("y"));
    const std::vector<std::vector<float>> wanted = {{12, 10}, {11, 13}, {12, 10}, {11, 13}, {0, 0}};
    EXPECT_EQ(found, wanted[static_cast<size_t>(ranks.rank())]) << "rank " << ranks.rank();
  });
}

TEST(Ranks, KnowTheirPosition) {
  const Engine engine = network({1}, [](GraphBuilder& graph, const Expression& x) {
    const AttributeList list = {{"ranks", std::vector<int64_t>{2, 0, 1}}, {"size", 3}};
    return add(graph, "add", {x, cast(add(graph, "rank", {}, list), DType::f32)}, {});
  });
  run_ranks(3, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const auto found = values_of(session.run({{"x", numbers({1}, {5})}}).at("y"));
    EXPECT_EQ(found[0], std::vector<float>({6, 7, 5})[static_cast<size_t>(ranks.rank())]);
  });
}

TEST(Ranks, RunEnginesThatDiffer) {
  const Engine sends = network({3}, [](GraphBuilder& graph, const Expression& x) {
    graph.add("send", {x * 2}, {{"to", 1}, {"size", 2}});
    return x + 1;
  });
  const Engine receives = network({3}, [](GraphBuilder& graph, const Expression& x) {
    return x + add(graph, "recv", {},
                   {{"from", 0}, {"size", 2}, {"dtype", DType::f32}, {"shape", Extents{3}}});
  });
  run_ranks(2, [&](Communicator& ranks) {
    Session session = (ranks.rank() == 0 ? sends : receives).session(1);
    session.bind(ranks);
    const auto found = values_of(session.run({{"x", numbers({3}, {1, 2, 3})}}).at("y"));
    EXPECT_EQ(found,
              ranks.rank() == 0 ? std::vector<float>({2, 3, 4}) : std::vector<float>({3, 6, 9}));
  });
}

TEST(Ranks, SendRowsOfAnyNumber) {
  run_ranks(2, [&](Communicator& ranks) {
    const bool first = ranks.rank() == 0;
    const Engine engine =
        network({first ? 3 : 2, 2}, [&](GraphBuilder& graph, const Expression& x) {
          return add(graph, "all_to_all_v", {x},
                     {{"sends", first ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{0, 2}},
                      {"receives", first ? std::vector<int64_t>{1, 0} : std::vector<int64_t>{2, 2}},
                      {"size", 2}});
        });
    Session session = engine.session(1);
    session.bind(ranks);
    const Tensor x = first ? numbers({3, 2}, {1, 2, 3, 4, 5, 6}) : numbers({2, 2}, {7, 8, 9, 10});
    EXPECT_EQ(values_of(session.run({{"x", x}}).at("y")),
              first ? std::vector<float>({1, 2}) : std::vector<float>({3, 4, 5, 6, 7, 8, 9, 10}));
  });
}

TEST(Ranks, RunWhatNobodyReads) {
  // Rank 1 drops the result that rank 0 uses; both must take part.
  const auto make = [](bool used) {
    return network({2}, [used](GraphBuilder& graph, const Expression& x) {
      const Expression sum = add(graph, "all_reduce", {x}, {});
      return used ? sum : x;
    });
  };
  const Engine uses = make(true), drops = make(false);
  run_ranks(2, [&](Communicator& ranks) {
    Session session = (ranks.rank() == 0 ? uses : drops).session(1);
    session.bind(ranks);
    const auto found = values_of(session.run({{"x", numbers({2}, {1, 2})}}).at("y"));
    EXPECT_EQ(found, ranks.rank() == 0 ? std::vector<float>({2, 4}) : std::vector<float>({1, 2}));
  });
}

Engine chain(int length) {
  return network({64}, [length](GraphBuilder& graph, Expression x) {
    for (int i = 0; i < length; ++i) {
      graph.set_scope("layer." + std::to_string(i));
      x = add(graph, "all_reduce", {x * 0.5}, {{"size", 2}}) + 1;
    }
    return x;
  });
}

TEST(Ranks, GiveTheSameInEveryRun) {
  const Engine engine = chain(10);
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    for (int run = 0; run < 20; ++run) {
      const auto y = values_of(
          session.run({{"x", numbers({64}, std::vector<float>(64, static_cast<float>(run)))}})
              .at("y"));
      EXPECT_EQ(y, std::vector<float>(64, static_cast<float>(run + 10)));
    }
    // 10 collectives of 64 f32 in each of 20 runs; of two ranks each sends 2 (2 - 1) / 2 of that.
    EXPECT_EQ(session.bytes_sent(), 20u * 10 * 64 * 4);
  });
}

TEST(Ranks, RefuseToRunUnbound) {
  Session session = chain(2).session(1);
  EXPECT_EQ(
      error_of([&] {
        session.run({{"x", numbers({64}, std::vector<float>(64))}});
      }),
      "the network has 2 collectives (first: all_reduce layer.0) and the session is not bound "
      "to ranks; wanted: bind before run");
}

TEST(Ranks, RefuseEnginesThatDoNotFitWithTheSameErrorOnAll) {
  const Engine ten = chain(2),
               other = network({64}, [](GraphBuilder&graph, const Expression&x) {
                 graph.set_scope("layer.0");
                 return add(graph, "all_reduce", {x}, {{"size", 2}, {"reduce", "max"}});
               });
  run_ranks(2, [&](Communicator& ranks) {
    Session session = (ranks.rank() == 0 ? ten : other).session(1);
    EXPECT_EQ(error_of([&] { session.bind(ranks); }),
              "engines do not fit each other: plan 0, collective #1 of ranks 0, 1: rank 0 runs "
              "all_reduce sum f32 x 64 'layer.0'; rank 1 runs all_reduce max f32 x 64 'layer.0'");
    EXPECT_FALSE(session.bound());
    // Nothing was spoilt.
    Session good = ten.session(1);
    good.bind(ranks);
    good.run({{"x", numbers({64}, std::vector<float>(64))}});
  });
}

TEST(Ranks, NameTheCollectiveInWhichARankIsMissed) {
  const Engine engine = chain(2);
  JoinOptions options;
  options.deadline_s = 0.3;
  run_ranks(
      2,
      [&](Communicator& ranks) {
        Session session = engine.session(1);
        session.bind(ranks);
        const TensorMap x = {{"x", numbers({64}, std::vector<float>(64))}};
        session.run(x);
        if (ranks.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(800));
        const std::string error = error_of([&] { session.run(x); });
        EXPECT_EQ(error.substr(0, 52), "rank 1 has not come to all_reduce #3 'layer.0', afte");
        EXPECT_EQ(error_of([&] { session.run(x); }), error);
        EXPECT_NE(session.history().find("all_reduce #3 'layer.0' (sum f32 x 64)  not ended"),
                  std::string::npos)
            << session.history();
      },
      options);
}

TEST(Ranks, BindRunUnbindAndBindToOthers) {
  const Engine engine = network({1}, [](GraphBuilder& graph, const Expression& x) {
    return add(graph, "all_reduce", {x}, {});
  });
  run_ranks(4, [&](Communicator& ranks) {
    Session session = engine.session(1);
    const auto sum = [&] { return values_of(session.run({{"x", numbers({1}, {1})}}).at("y"))[0]; };
    session.bind(ranks);
    EXPECT_EQ(sum(), 4);
    session.unbind();
    EXPECT_FALSE(session.bound());
    {
      auto half = ranks.split(ranks.rank() % 2, 0);
      session.bind(*half);
      EXPECT_EQ(sum(), 2);
    }
    EXPECT_EQ(sum(), 2);  // the communicator is gone, the binding is not
    session.bind(ranks);
    EXPECT_EQ(sum(), 4);
  });
}

TEST(Ranks, OneRankNeedsNoOthers) {
  const Engine engine = chain(3);
  const Engine any = network({1}, [](GraphBuilder& graph, const Expression& x) {
    return add(graph, "all_reduce", {x}, {});
  });
  run_ranks(1, [&](Communicator& ranks) {
    Session session = any.session(1);
    session.bind(ranks);
    EXPECT_EQ(values_of(session.run({{"x", numbers({1}, {3})}}).at("y"))[0], 3);
    Session two = engine.session(1);
    EXPECT_EQ(error_of([&] { two.bind(ranks); }),
              "rank 0: the group of all ranks is rank 0; the network wants groups of 2 ranks");
  });
}

TEST(Ranks, ComputeWhileACollectiveRuns) {
  // The schedule puts the product between the start and the first use of the sum.
  const Engine engine = network({64, 64}, [](GraphBuilder& graph, const Expression& x) {
    const Expression sum = add(graph, "all_reduce", {x}, {{"size", 2}});
    return matmul(matmul(x, x), exp(sum * 0));
  });
  std::vector<std::string> steps;
  const PlanInfo plan = engine.plans()[0];
  for (const StepInfo& step : plan.steps) steps.push_back(step.operation);
  ASSERT_GE(steps.size(), 3u);
  EXPECT_EQ(steps[0], "all_reduce");
  EXPECT_NE(steps[1].find("matmul"), std::string::npos) << steps[1];
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    for (int run = 0; run < 50; ++run) {
      const auto y = values_of(
          session.run({{"x", numbers({64, 64}, std::vector<float>(64 * 64, 1))}}).at("y"));
      ASSERT_EQ(y, std::vector<float>(64 * 64, 4096));
    }
  });
}

/// Objects of each rank, destroyed in an order that its random numbers choose.
void tear_down(unsigned seed) {
  static const Engine engine = chain(3);
  JoinOptions options;
  options.deadline_s = 5;
  const auto body = [&](Communicator& ranks) {
    std::mt19937 random(seed * 8 + static_cast<unsigned>(ranks.rank()));
    auto own = std::make_unique<Communicator>(*ranks.split(0, 0));
    std::vector<std::unique_ptr<Session>> sessions;
    for (int i = 0; i < 3; ++i) {
      sessions.push_back(std::make_unique<Session>(engine.session(1)));
      sessions.back()->bind(*own);
    }
    const TensorMap x = {{"x", numbers({64}, std::vector<float>(64))}};
    for (auto& session : sessions) session->run(x);
    auto copy = std::make_unique<Engine>(engine);
    std::vector<std::function<void()>> ends = {[&] { own.reset(); }, [&] { copy.reset(); }};
    for (auto& session : sessions)
      ends.push_back([&session, &random] {
        if (random() % 2) session->unbind();
        session.reset();
      });
    std::shuffle(ends.begin(), ends.end(), random);
    // One rank may also go while the other still runs: that one gets an error, no hang.
    const size_t runs_before = random() % (ends.size() + 1);
    for (size_t i = 0; i < ends.size(); ++i) {
      if (i == runs_before)
        for (auto& session : sessions)
          if (session && session->bound()) error_of([&] { session->run(x); });
      ends[i]();
    }
  };
  try {
    run_ranks(2, body, options);
  } catch (const Error&) {
    // A rank that was left says so.
  }
}

TEST(Ranks, LeaveInAnyOrder) {
  const unsigned rounds = std::getenv("TUTTI_LONG") != nullptr ? 1000 : 100;
  for (unsigned seed = 0; seed < rounds; ++seed) tear_down(seed);
}

}  // namespace
}  // namespace tutti
