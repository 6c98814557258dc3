// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <thread>

#include "networks_for_tests.h"

// Sessions on ranks: several at once, from several threads, of several plans, from files, and
// after errors.
namespace tutti {
namespace {

Tensor indices(std::vector<int64_t> values) {
  Tensor t = Tensor::zeros(DType::i64, {static_cast<int64_t>(values.size())});
  std::copy(values.begin(), values.end(), t.as<int64_t>());
  return t;
}

// y = the sum over ranks of x * w, twice as a chain.
Engine two_sums() {
  return network({8, 8}, [](GraphBuilder& graph, const Expression& x) {
    const Expression w = graph.weight("w", filled({8, 8}, 1));
    return all_reduce(all_reduce(matmul(x, w)) + 1);
  });
}

TEST(RankSessions, OfOneEngineRunAtOnceOnOneCommunicator) {
  const Engine engine = two_sums();
  run_ranks(3, [&](Communicator& ranks) {
    std::vector<Session> sessions;
    for (int i = 0; i < 3; ++i) {
      sessions.push_back(engine.session(1));
      sessions.back().bind(ranks);
    }
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
      threads.emplace_back([&, i] {
        for (int run = 0; run < 20; ++run) {
          const float x = static_cast<float>(run + i);
          const auto y =
              values_of(sessions[static_cast<size_t>(i)].run({{"x", filled({8, 8}, x)}}).at("y"));
          EXPECT_EQ(y, std::vector<float>(64, 3 * (3 * 8 * x + 1)));
        }
      });
    for (std::thread& thread : threads) thread.join();
  });
}

TEST(RankSessions, AreBoundAndRunByDifferentThreads) {
  const Engine engine = two_sums();
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    std::thread([&] { session.bind(ranks); }).join();
    for (int run = 0; run < 3; ++run)
      std::thread([&] {
        EXPECT_EQ(values_of(session.run({{"x", filled({8, 8}, 1)}}).at("y"))[0], 2 * 17);
      }).join();
    std::thread([&] { session.unbind(); }).join();
  });
}

TEST(RankSessions, RunOnSevenRanks) {
  const Engine engine = network({7, 3}, [](GraphBuilder&, const Expression& x) {
    const Ranks all = {"", {}, 7};
    return all_to_all(all_gather(reduce_scatter(x, all), all), all) + all_reduce(x, all, "max");
  });
  run_ranks(7, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    for (int run = 0; run < 3; ++run) {
      Tensor x = filled({7, 3}, static_cast<float>(ranks.rank()));
      x.as<float>()[3 * 2] = 50;
      // Row 2 starts with 350, which each rank sends from its block for rank 2.
      const auto y = values_of(session.run({{"x", x}}).at("y"));
      const bool third = ranks.rank() == 2;
      for (size_t i = 0; i < 21; ++i)
        EXPECT_EQ(y[i], (i % 3 == 0 && third ? 350 : 21) + (i == 6 ? 50 : 6)) << i;
    }
  });
}

TEST(RankSessions, RunSeveralPlansInAnyOrder) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {2, "n"});
  const Expression part = reduce_scatter(x + 1, {"", {}, 2}, "sum", 1);
  graph.output("y", all_gather(part * 2, {"", {}, 2}, 1));
  graph.output("z", all_to_all(x, {}, 1, 1));
  BuildOptions options;
  options.shapes = {{{"x", {2, 2}}}, {{"x", {2, 8}}}, {{"x", {2, 0}}}, {{"x", {2, 6}}}};
  options.shapes.erase(options.shapes.begin() + 2);
  const Engine engine = Engine::build(graph, options);
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    for (const int64_t n : {8, 2, 6, 2, 8})
      EXPECT_EQ(values_of(session.run({{"x", filled({2, n}, 3)}}).at("y")),
                std::vector<float>(static_cast<size_t>(2 * n), 16));
  });
}

TEST(RankSessions, SayWhatTheyRunWhenTheyRunDifferentPlans) {
  GraphBuilder graph;
  graph.set_scope("layer");
  graph.output("y", all_reduce(graph.input("x", DType::f32, {"n"})));
  BuildOptions options;
  options.shapes = {{{"x", {2}}}, {{"x", {4}}}};
  const Engine engine = Engine::build(graph, options);
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const int64_t n = ranks.rank() == 0 ? 2 : 4;
    EXPECT_NE(error_of([&] {
                session.run({{"x", filled({n}, 1)}});
              })
                  .find("rank 1 runs all_reduce #1 'layer' (sum f32 x 4), rank 0 runs all_reduce "
                        "#1 'layer' (sum f32 x 2)"),
              std::string::npos);
  });
}

TEST(RankSessions, PrepareHeldInputsOnTheRanksThatChangeThem) {
  BuildOptions options;
  options.held = {"h"};
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {16}), h = graph.input("h", DType::f32, {16});
  graph.output("y", all_reduce(exp(h) * 2) + x);
  graph.output("z", all_reduce(h));
  const Engine engine = Engine::build(graph, options);
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const Tensor x = filled({16}, 1), zero = filled({16}, 0);
    EXPECT_EQ(values_of(session.run({{"x", x}, {"h", zero}}).at("y"))[15], 5);
    EXPECT_EQ(values_of(session.run({{"x", x}}).at("y"))[15], 5);
    // One gives it anew, the other changes it.
    const float value = ranks.rank() == 0 ? 0.f : 1.f;
    const TensorMap found = session.run({{"x", x}, {"h", filled({16}, value)}});
    EXPECT_NEAR(values_of(found.at("y"))[15], 2 + 2 * std::exp(1.f) + 1, 1e-5);
    EXPECT_EQ(values_of(found.at("z"))[15], 1);
  });
}

TEST(RankSessions, KeepHeldInputsRightAfterARunThatFailed) {
  // The table is read while `prepare` runs; a row that is not there fails it.
  BuildOptions options;
  options.held = {"row"};
  GraphBuilder graph;
  const Expression row = graph.input("row", DType::i64, {1}), x = graph.input("x", DType::f32, {1});
  graph.output("y", embedding(graph.weight("table", numbers({2, 1}, {10, 20})), row) + x);
  Session session = Engine::build(graph, options).session(1);
  const Tensor one = filled({1}, 1);
  EXPECT_EQ(values_of(session.run({{"x", one}, {"row", indices({1})}}).at("y"))[0], 21);
  for (int i = 0; i < 2; ++i)
    EXPECT_NE(error_of([&] { session.run({{"x", one}, {"row", indices({5})}}); }), "none");
  EXPECT_NE(error_of([&] { session.run({{"x", one}}); }), "none");
  EXPECT_EQ(values_of(session.run({{"x", one}, {"row", indices({0})}}).at("y"))[0], 11);
}

// A network that looks up a row of a table between two collectives, or while it prepares.
Engine lookup(bool held) {
  GraphBuilder graph;
  const Expression row = graph.input("row", DType::i64, {1}), x = graph.input("x", DType::f32, {1});
  graph.set_scope("first");
  const Expression sum = all_reduce(x, {"", {}, 2});
  const Expression found = embedding(graph.weight("table", numbers({2, 1}, {10, 20})), row);
  graph.set_scope("second");
  graph.output("y", all_reduce(found * sum, {"", {}, 2}));
  BuildOptions options;
  if (held) options.held = {"row"};
  return Engine::build(graph, options);
}

TEST(RankSessions, TellAllRanksWhenAStepOfOneFails) {
  for (const bool held : {false, true}) {
    const Engine engine = lookup(held);
    run_ranks(2, [&](Communicator& ranks) {
      Session session = engine.session(1);
      session.bind(ranks);
      const TensorMap good = {{"x", filled({1}, 1)}, {"row", indices({1})}};
      TensorMap bad = good;
      if (ranks.rank() == 1) bad["row"] = indices({7});
      const std::string error = error_of([&] { session.run(bad); });
      EXPECT_NE(error.find("7"), std::string::npos) << error;
      EXPECT_NE(error_of([&] { session.run(good); }), "none");
      EXPECT_NE(error_of([&] { Session(engine.session(1)).bind(ranks); }), "none");
    });
  }
}

TEST(RankSessions, GiveTheSameFromAFile) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() /
                                     ("tutti_ranks_" + std::to_string(getpid()) + ".tutti");
  two_sums().save(path);
  const Engine engine = Engine::load(path);
  std::filesystem::remove(path);
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    EXPECT_EQ(values_of(session.run({{"x", filled({8, 8}, 1)}}).at("y"))[0], 2 * 17);
  });
}

TEST(RankSessions, ProfileShowsEachCollectiveOnce) {
  const Engine engine = two_sums();
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const Profile profile = session.profile({{"x", filled({8, 8}, 1)}});
    EXPECT_EQ(values_of(profile.outputs.at("y"))[0], 2 * 17);
    int sums = 0;
    for (const StepTime& step : profile.steps) sums += step.operation == "all_reduce";
    EXPECT_EQ(sums, 2);
  });
}

TEST(RankSessions, StartStateAnewByReset) {
  GraphBuilder graph;
  const Expression count = graph.state("count", filled({1}, 0));
  const Expression next = all_reduce(count + graph.input("x", DType::f32, {1}));
  graph.update(count, next);
  graph.output("y", next);
  const Engine engine = Engine::build(graph);
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    session.bind(ranks);
    const auto run = [&] { return values_of(session.run({{"x", filled({1}, 1)}}).at("y"))[0]; };
    EXPECT_EQ(run(), 2);
    EXPECT_EQ(run(), 6);
    EXPECT_EQ(values_of(session.read("count"))[0], 6);
    session.reset();
    EXPECT_EQ(run(), 2);
  });
}

TEST(RankSessions, RefuseARankThatIsItsOwnPeer) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {1});
  send(graph, x, {}, 0);
  graph.output("y", recv(graph, {}, 0, DType::f32, {1}));
  const Engine engine = Engine::build(graph);
  for (const int size : {1, 2})
    run_ranks(size, [&](Communicator& ranks) {
      Session session = engine.session(1);
      EXPECT_EQ(error_of([&] { session.bind(ranks); }),
                "rank 0 runs send f32 x 1 to 0, which is itself; another rank is wanted");
    });
}

TEST(RankSessions, RefuseBlocksThatAreNoWholeRows) {
  // 3 rows of 2 are 6 elements, which two ranks could halve, but not their rows.
  const Engine engine =
      network({3, 2}, [](GraphBuilder&, const Expression& x) { return all_to_all(x, {}); });
  run_ranks(2, [&](Communicator& ranks) {
    Session session = engine.session(1);
    EXPECT_EQ(error_of([&] { session.bind(ranks); }),
              "rank 0: all_to_all of 3 indices on ranks 0, 1; a multiple of 2 is wanted");
  });
}

TEST(RankSessions, RefuseARootThatNoGroupHas) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {1});
  EXPECT_NE(error_of([&] { broadcast(x, {}, int64_t{1} << 32); }), "none");
  EXPECT_NE(error_of([&] { send(graph, x, {}, int64_t{1} << 32); }), "none");
  EXPECT_NE(error_of([&] { all_gather(x, {"", {}, int64_t{1} << 62}); }), "none");
  EXPECT_NE(error_of([&] { all_gather(x, {"", {}, (int64_t{1} << 32) + 2}); }), "none");
}

}  // namespace
}  // namespace tutti
