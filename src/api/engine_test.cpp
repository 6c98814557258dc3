// SPDX-License-Identifier: Apache-2.0
#include "tutti/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <thread>

#include "core/error.h"
#include "core/small_float.h"
#include "core/test_data.h"

namespace tutti {
namespace {

Tensor random_tensor(const Dims& shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Tensor t = Tensor::zeros(DType::f32, shape);
  for (int64_t i = 0; i < t.elements(); ++i) t.as<float>()[i] = normal(random);
  return t;
}

std::string refusal(Errc code, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "accepted";
}

void expect_refusal(const std::function<void()>& action,
                    std::initializer_list<std::string_view> parts,
                    Errc code = Errc::invalid_argument) {
  const std::string message = refusal(code, action);
  for (std::string_view part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << message << " lacks " << part;
}

const Tensor kW = random_tensor({5, 7}, 1), kB = random_tensor({5}, 2);

// y = relu(x w^T + b) over any number of rows.
GraphBuilder layer() {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {"rows", 7});
  const Expression w = graph.weight("w", kW), b = graph.weight("b", kB);
  graph.output("y", relu(linear(x, w, b)));
  return graph;
}

BuildOptions for_rows(std::initializer_list<int64_t> rows) {
  BuildOptions options;
  for (int64_t n : rows) options.shapes.push_back({{"x", {n, 7}}});
  return options;
}

void expect_layer(const Tensor& x, const Tensor& y) {
  ASSERT_EQ(describe(y.dtype, y.shape), describe(DType::f32, {x.shape[0], 5}));
  for (int64_t row = 0; row < x.shape[0]; ++row)
    for (int64_t o = 0; o < 5; ++o) {
      double sum = kB.as<float>()[o];
      for (int64_t i = 0; i < 7; ++i)
        sum += static_cast<double>(x.as<float>()[row * 7 + i]) * kW.as<float>()[o * 7 + i];
      EXPECT_NEAR(y.as<float>()[row * 5 + o], std::max(sum, 0.0), 1e-5);
    }
}

TEST(Engine, ComputesWhatTheGraphSays) {
  Session session = Engine::build(layer(), for_rows({1, 9})).session();
  for (int64_t rows : {9, 1, 9}) {
    const Tensor x = random_tensor({rows, 7}, 3);
    expect_layer(x, session.run({{"x", x}}).at("y"));
  }
}

TEST(Engine, GivesTheSameWithoutFusionAndWithEveryMatmul) {
  for (const char* matmul : {"", "auto", "own", "plain"}) {
    BuildOptions options = for_rows({4});
    options.matmul = matmul;
    options.fuse = *matmul == '\0';
    const Tensor x = random_tensor({4, 7}, 5);
    expect_layer(x, Engine::build(layer(), options).session().run({{"x", x}}).at("y"));
  }
}

TEST(Engine, TellsInputsOutputsResidentsAndPlans) {
  const Engine engine = Engine::build(layer(), for_rows({4}));
  ASSERT_EQ(engine.inputs().size(), 1u);
  EXPECT_EQ(engine.inputs()[0].name, "x");
  EXPECT_EQ(engine.inputs()[0].shape[0].text, "rows");
  EXPECT_EQ(engine.outputs()[0].name, "y");
  EXPECT_EQ(engine.outputs()[0].shape[1].text, "5");
  EXPECT_EQ(engine.residents()[0].name, "w");
  EXPECT_EQ(engine.residents()[0].kind, "bound");
  EXPECT_EQ(engine.residents()[0].bytes, 140u);
  ASSERT_EQ(engine.plans().size(), 1u);
  EXPECT_EQ(engine.plans()[0].inputs[0].second, Dims({4, 7}));
  EXPECT_EQ(engine.plans()[0].outputs[0].second, Dims({4, 5}));
  EXPECT_GE(engine.plans()[0].steps.size(), 1u);
  EXPECT_EQ(engine.graph_nodes(), 3u);
  EXPECT_NE(engine.graph_text().find("%x : f32[rows, 7]"), std::string::npos);
  EXPECT_NE(engine.graph_dot().find("digraph"), std::string::npos);
}

TEST(Engine, PlansMoreShapesForSessionsMadeLater) {
  Engine engine = Engine::build(layer(), for_rows({4}));
  Session before = engine.session();
  const Tensor x = random_tensor({6, 7}, 4);
  expect_refusal([&] { before.run({{"x", x}}); }, {"no plan", "[6, 7]", "x [4, 7]"});
  EXPECT_FALSE(engine.planned({{"x", {6, 7}}}));
  engine.plan({{"x", {6, 7}}});
  engine.plan({{"x", {6, 7}}});
  EXPECT_TRUE(engine.planned({{"x", {6, 7}}}));
  EXPECT_EQ(engine.plans().size(), 2u);
  expect_layer(x, engine.session().run({{"x", x}}).at("y"));
  expect_refusal([&] { before.run({{"x", x}}); }, {"no plan"});
}

TEST(Engine, InfersShapesThatFollowFromOthers) {
  GraphBuilder graph;
  const Expression a = graph.input("a", DType::f32, {"n"});
  const Expression b = graph.input("b", DType::f32, {"2*n"});
  graph.output("y", concat({a, b}, 0));
  Engine engine = Engine::build(graph);
  EXPECT_TRUE(engine.plans().empty());
  engine.plan({{"a", {3}}});
  EXPECT_EQ(engine.plans()[0].inputs[1].second, Dims({6}));
  expect_refusal([&] { engine.plan({{"b", {6}}}); }, {"input a", "n follows from no other"});
  expect_refusal([&] { engine.plan({{"a", {3}}, {"b", {7}}}); }, {"input b", "[7]", "[2*n]"});
  expect_refusal([&] { engine.plan({{"a", {3, 1}}}); }, {"input a", "[3, 1]"});
  expect_refusal([&] { engine.plan({{"c", {3}}}); }, {"input c"}, Errc::not_found);
}

TEST(Session, RefusesWrongTensorsByName) {
  Session session = Engine::build(layer(), for_rows({4})).session();
  const Tensor x = random_tensor({4, 7}, 1);
  Tensor strided = random_tensor({7, 4}, 1);
  std::swap(strided.shape[0], strided.shape[1]);
  std::swap(strided.strides[0], strided.strides[1]);
  Tensor null = x;
  null.data = nullptr;
  expect_refusal([&] { session.run({{"z", x}}); }, {"input z", "wanted: x"});
  expect_refusal([&] { session.run(TensorMap{}); }, {"missing inputs: x f32[rows, 7]"});
  expect_refusal(
      [&] {
        session.run({{"x", cast(x, DType::f16)}});
      },
      {"input x is f16[4, 7]", "f32[rows, 7] is wanted"});
  expect_refusal([&] { session.run({{"x", random_tensor({28}, 1)}}); }, {"input x is f32[28]"});
  expect_refusal([&] { session.run({{"x", random_tensor({4, 8}, 1)}}); }, {"[4, 8]", "[4, 7]"});
  expect_refusal([&] { session.run({{"x", strided}}); }, {"input x has strides [1, 4]"});
  expect_refusal([&] { session.run({{"x", null}}); }, {"input x has null data"});
  expect_layer(x, session.run({{"x", x}}).at("y"));
}

TEST(Session, RunsIntoTheCallersTensors) {
  Session session = Engine::build(layer(), for_rows({4})).session();
  const std::vector<Tensor> in = {random_tensor({4, 7}, 8)};
  const std::vector<Tensor> out = session.make_outputs(in);
  session.run(in, out);
  expect_layer(in[0], out[0]);
  const Tensor wrong = Tensor::zeros(DType::f32, {4, 4}), other = Tensor::zeros(DType::f64, {4, 5});
  expect_refusal([&] { session.run(in, std::vector<Tensor>{wrong}); },
                 {"output y is f32[4, 4]", "f32[4, 5] is wanted"});
  expect_refusal([&] { session.run(in, std::vector<Tensor>{other}); }, {"output y is f64[4, 5]"});
  expect_refusal([&] { session.run(in, {}); }, {"0 outputs", "1 are wanted"});
  expect_refusal([&] { session.run({}, out); }, {"0 inputs", "1 are wanted"});
  Tensor null = out[0];
  null.data = nullptr;
  expect_refusal([&] { session.run(in, std::vector<Tensor>{null}); }, {"output y has null data"});
}

// y = relu(x w) z: all but the last product depends on x alone.
GraphBuilder held_graph() {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {4, 4});
  const Expression z = graph.input("z", DType::f32, {4, 4});
  graph.output("y", matmul(relu(matmul(x, graph.weight("w", random_tensor({4, 4}, 6)))), z));
  return graph;
}

Engine held_engine() {
  BuildOptions options;
  options.held = {"x"};
  return Engine::build(held_graph(), options);
}

TEST(Session, GivesHeldInputsToStepsThatNeedOthersToo) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {4});
  graph.output("y", x + graph.input("z", DType::f32, {4}));
  BuildOptions options;
  options.held = {"x"};
  Session session = Engine::build(graph, options).session();
  const Tensor one = random_tensor({4}, 1), two = random_tensor({4}, 2), z = random_tensor({4}, 3);
  for (const Tensor& held : {one, two}) {
    const Tensor given = session.run({{"x", held}, {"z", z}}).at("y");
    const Tensor kept = session.run({{"z", z}}).at("y");
    for (int64_t i = 0; i < 4; ++i) {
      EXPECT_EQ(given.as<float>()[i], held.as<float>()[i] + z.as<float>()[i]);
      EXPECT_EQ(kept.as<float>()[i], given.as<float>()[i]);
    }
  }
}

TEST(Session, PreparesWithNumbersThatOtherStepsReadToo) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {1});
  const Expression three = graph.constant(3);
  graph.output("y", x * three);
  graph.output("z", graph.input("z", DType::f32, {1}) * three);
  for (const bool fuse : {true, false}) {
    BuildOptions options;
    options.fuse = fuse;
    options.held = {"x"};
    Session session = Engine::build(graph, options).session();
    for (const float value : {2.f, 5.f, 5.f}) {
      const Tensor t = Tensor::zeros(DType::f32, {1});
      *t.as<float>() = value;
      const TensorMap found = session.run({{"x", t}, {"z", t}});
      EXPECT_EQ(*found.at("y").as<float>(), 3 * value);
      EXPECT_EQ(*found.at("z").as<float>(), 3 * value);
    }
  }
}

TEST(Session, UpdatesStateToAViewOfItself) {
  GraphBuilder graph;
  Tensor start = Tensor::zeros(DType::f32, {2, 2});
  for (int i = 0; i < 4; ++i) start.as<float>()[i] = static_cast<float>(i);
  const Expression turned = graph.state("turned", start), rolled = graph.state("rolled", start);
  graph.update(turned, transpose(turned, 0, 1));
  graph.update(rolled, concat({slice(rolled, 0, 1, 1), slice(rolled, 0, 0, 1)}, 0));
  graph.output("x", graph.input("x", DType::f32, {1}));
  Session session = Engine::build(graph).session();
  session.run({{"x", Tensor::zeros(DType::f32, {1})}});
  const Tensor a = session.read("turned"), b = session.read("rolled");
  const float wanted_a[] = {0, 2, 1, 3}, wanted_b[] = {2, 3, 0, 1};
  EXPECT_TRUE(std::equal(wanted_a, wanted_a + 4, a.as<float>()));
  EXPECT_TRUE(std::equal(wanted_b, wanted_b + 4, b.as<float>()));
}

TEST(Session, ComputesWhatHeldInputsDetermineOnceForEachChange) {
  const Engine engine = held_engine();
  EXPECT_TRUE(engine.inputs()[0].held);
  Session session = engine.session();
  const Tensor x = random_tensor({4, 4}, 1), x2 = random_tensor({4, 4}, 2),
               z = random_tensor({4, 4}, 3);
  const auto prepared = [&](const TensorMap& inputs) {
    const Profile profile = session.profile(inputs);
    return std::any_of(profile.steps.begin(), profile.steps.end(),
                       [](const StepTime& step) { return step.prepare; });
  };
  expect_refusal([&] { session.run({{"z", z}}); }, {"missing inputs: x"});
  EXPECT_TRUE(prepared({{"x", x}, {"z", z}}));
  EXPECT_FALSE(prepared({{"x", x}, {"z", z}}));
  EXPECT_FALSE(prepared({{"z", z}}));
  const Tensor kept = session.run({{"z", z}}).at("y");
  const Tensor fresh = engine.session().run({{"x", x}, {"z", z}}).at("y");
  for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(kept.as<float>()[i], fresh.as<float>()[i]);
  EXPECT_TRUE(prepared({{"x", x2}, {"z", z}}));
}

TEST(Engine, RefusesAHeldInputThatIsNotThere) {
  BuildOptions options;
  options.held = {"q"};
  expect_refusal([&] { Engine::build(layer(), options); }, {"held input q", "x"}, Errc::not_found);
}

TEST(Session, KeepsStateUntilItIsReset) {
  GraphBuilder graph;
  Tensor start = Tensor::zeros(DType::f32, {2});
  start.as<float>()[1] = 10;
  const Expression total = graph.state("total", start);
  const Expression sum = total + graph.input("x", DType::f32, {2});
  graph.update(total, sum);
  graph.output("sum", sum);
  const Engine engine = Engine::build(graph);
  Session session = engine.session(), other = engine.session();
  Tensor x = Tensor::zeros(DType::f32, {2});
  x.as<float>()[0] = 1;
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(session.run({{"x", x}}).at("sum").as<float>()[0], i);
  EXPECT_EQ(session.read("total").as<float>()[0], 3);
  EXPECT_EQ(session.read("total").as<float>()[1], 10);
  EXPECT_EQ(other.read("total").as<float>()[0], 0);
  session.reset("total");
  EXPECT_EQ(session.read("total").as<float>()[0], 0);
  expect_refusal([&] { session.read("totl"); }, {"totl", "total"}, Errc::not_found);
  expect_refusal([&] { session.reset("totl"); }, {"totl", "total"}, Errc::not_found);
}

TEST(Session, SessionsOfOneEngineRunAtOnce) {
  const Engine engine = Engine::build(layer(), for_rows({4}));
  const auto work = [&](uint32_t seed) {
    Session session = engine.session(1);
    for (uint32_t i = 0; i < 50; ++i) {
      const Tensor x = random_tensor({4, 7}, seed + i);
      expect_layer(x, session.run({{"x", x}}).at("y"));
    }
  };
  std::thread first(work, 100), second(work, 200);
  first.join();
  second.join();
}

TEST(Session, ProfilesStepsInOrder) {
  Session session = Engine::build(layer(), for_rows({4})).session();
  const Tensor x = random_tensor({4, 7}, 1);
  const Profile profile = session.profile({{"x", x}});
  expect_layer(x, profile.outputs.at("y"));
  ASSERT_FALSE(profile.steps.empty());
  for (size_t i = 1; i < profile.steps.size(); ++i)
    EXPECT_GE(profile.steps[i].start_ms, profile.steps[i - 1].start_ms);
  EXPECT_NE(profile.steps[0].types.find("->"), std::string::npos);
}

class Folder {
 public:
  std::string operator/(const std::string& name) {
    // Tests may run at once.
    paths_.push_back(testing::TempDir() +
                     testing::UnitTest::GetInstance()->current_test_info()->name() + name);
    return paths_.back();
  }
  ~Folder() {
    for (const std::string& path : paths_) std::remove(path.c_str());
  }

 private:
  std::vector<std::string> paths_;
};

TEST(Engine, ComesBackFromItsFile) {
  Folder folder;
  const std::string path = folder / "layer.tutti";
  Engine::build(layer(), for_rows({3, 5})).save(path);
  Engine engine = Engine::load(path);
  EXPECT_EQ(engine.plans().size(), 2u);
  engine.plan({{"x", {8, 7}}});
  Session session = engine.session();
  for (int64_t rows : {3, 5, 8}) {
    const Tensor x = random_tensor({rows, 7}, 9);
    expect_layer(x, session.run({{"x", x}}).at("y"));
  }
}

TEST(Engine, LoadsWithOtherHeldInputs) {
  Folder folder;
  const std::string path = folder / "held.tutti";
  held_engine().save(path);
  EXPECT_TRUE(Engine::load(path).inputs()[0].held);
  LoadOptions options;
  options.held.emplace();
  Engine engine = Engine::load(path, options);
  EXPECT_FALSE(engine.inputs()[0].held);
  const TensorMap inputs = {{"x", random_tensor({4, 4}, 1)}, {"z", random_tensor({4, 4}, 2)}};
  const Tensor y = engine.session().run(inputs).at("y");
  const Tensor expected = Engine::build(held_graph()).session().run(inputs).at("y");
  for (int64_t i = 0; i < 16; ++i) EXPECT_EQ(y.as<float>()[i], expected.as<float>()[i]);
}

TEST(Engine, BindsWeightsByNameWhenBuiltOrLoaded) {
  Folder folder;
  const std::string weights = folder / "weights.safetensors", path = folder / "later.tutti";
  save_tensors(weights, {{"w", kW}, {"b", kB}, {"other", kB}});
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {4, 7});
  const Expression w = graph.weight("w", DType::f32, {5, 7});
  const Expression b = graph.weight("b", DType::f32, {5});
  graph.output("y", relu(linear(x, w, b)));
  expect_refusal([&] { Engine::build(graph); }, {"2 weights have no bytes", "w, b"},
                 Errc::not_found);
  const Tensor input = random_tensor({4, 7}, 9);
  BuildOptions now;
  now.weights = weights;
  expect_layer(input, Engine::build(graph, now).session().run({{"x", input}}).at("y"));
  BuildOptions later;
  later.weights_later = true;
  const Engine unbound = Engine::build(graph, later);
  EXPECT_FALSE(unbound.residents()[0].stored);
  expect_refusal([&] { unbound.session(); }, {"no bytes"}, Errc::not_found);
  unbound.save(path);
  LoadOptions load;
  load.weights = weights;
  expect_layer(input, Engine::load(path, load).session().run({{"x", input}}).at("y"));
}

// One weight of ten elements times x, in the type of the graph.
GraphBuilder scaled_in(DType type) {
  GraphBuilder graph;
  const Expression x = graph.input("x", type, {10});
  graph.output("y", x * graph.weight("layer.scale", type, {10}));
  return graph;
}

Tensor converted(DType type, const Tensor& from) {
  Tensor to = Tensor::zeros(type, from.shape);
  for (int64_t i = 0; i < from.elements(); ++i) {
    if (type == DType::bf16)
      to.as<bf16>()[i] = bf16(from.as<float>()[i]);
    else
      to.as<float>()[i] = static_cast<float>(from.as<bf16>()[i]);
  }
  return to;
}

TEST(Engine, ConvertsWeightsOnlyToATypeThatIsAskedFor) {
  Folder folder;
  const std::string file = folder / "weights.safetensors";
  const Tensor full = random_tensor({10}, 3), half = converted(DType::bf16, full);
  for (const DType graph : {DType::f32, DType::bf16}) {
    save_tensors(file, {{"layer.scale", graph == DType::f32 ? half : full}});
    BuildOptions keep, convert;
    keep.weights = convert.weights = file;
    convert.weights_dtype = graph;
    expect_refusal([&] { Engine::build(scaled_in(graph), keep); },
                   {"layer.scale is ", graph == DType::f32 ? "--dtype f32" : "--dtype bf16",
                    graph == DType::f32 ? "bf16; f32 is wanted" : "f32; bf16 is wanted"});
    Tensor ones = Tensor::zeros(DType::f32, {10});
    std::fill_n(ones.as<float>(), 10, 1.0f);
    if (graph == DType::bf16) ones = converted(graph, ones);
    Tensor y = Engine::build(scaled_in(graph), convert).session().run({{"x", ones}}).at("y");
    if (graph == DType::bf16) y = converted(DType::f32, y);
    const Tensor expected = converted(DType::f32, half);
    for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(y.as<float>()[i], expected.as<float>()[i]);
  }
}

TEST(Engine, KeepsOneFormOfAWeightThatItConvertsAndPacks) {
  Folder folder;
  GraphBuilder graph;
  const Expression w = graph.weight("w", DType::f32, {32, 16});
  graph.output("y", matmul(graph.input("x", DType::f32, {8, 16}), transpose(w, 0, 1)));
  BuildOptions options;
  options.weights = folder / "weights.safetensors";
  options.weights_dtype = DType::f32;
  save_tensors(options.weights, {{"w", cast(random_tensor({32, 16}, 3), DType::bf16)}});
  std::vector<std::string> derived;
  for (const ResidentInfo& r : Engine::build(graph, options).residents())
    if (r.kind == "derived") derived.push_back(r.name);
  EXPECT_EQ(derived.size(), 1u) << testing::PrintToString(derived);
}

TEST(Engine, NamesWeightsNearToMissingOnes) {
  Folder folder;
  BuildOptions options;
  options.weights = folder / "weights.safetensors";
  save_tensors(options.weights, {{"layer.scales", random_tensor({10}, 3)}});
  expect_refusal([&] { Engine::build(scaled_in(DType::f32), options); },
                 {"1 weights are missing", "layer.scale; nearest: layer.scales"}, Errc::not_found);
}

TEST(Engine, BuildsFromAnExportedProgram) {
  const Engine engine = Engine::build(test_model("versions/kv_cache.pt2"));
  Session session = engine.session();
  const TensorMap inputs = load_tensors(test_model("versions/kv_cache.inputs.safetensors"));
  const TensorMap expected = load_tensors(test_model("versions/kv_cache.outputs.safetensors"));
  for (int step = 0; step < 4; ++step) {
    const std::string prefix = "step" + std::to_string(step) + ".";
    const TensorMap outputs =
        session.run({{"x", inputs.at(prefix + "x")}, {"pos", inputs.at(prefix + "pos")}});
    const Tensor& y = outputs.at("out.0");
    const Tensor& wanted = expected.at(prefix + "out.0");
    ASSERT_EQ(y.shape, wanted.shape);
    for (int64_t i = 0; i < y.elements(); ++i)
      EXPECT_NEAR(y.as<float>()[i], wanted.as<float>()[i], 1e-5);
  }
  const Tensor k = session.read("k");
  for (int64_t i = 0; i < k.elements(); ++i)
    EXPECT_NEAR(k.as<float>()[i], expected.at("final.k").as<float>()[i], 1e-5);
}

TEST(Engine, RefusesFilesThatAreNoModel) {
  expect_refusal([] { Engine::build(std::string("nothing.pt2")); }, {"nothing.pt2"},
                 Errc::not_found);
  expect_refusal([] { Engine::build(std::string("nothing.txt")); }, {".pt2"});
  expect_refusal([] { Engine::load("nothing.tutti"); }, {"nothing.tutti"}, Errc::not_found);
}

TEST(Engine, ReportsProgressToTheEnd) {
  BuildOptions options = for_rows({2, 3});
  double last = 0;
  std::string text;
  options.progress = [&](std::string_view what, double done) {
    EXPECT_GE(done, last);
    last = done;
    text += std::string(what) + "; ";
  };
  Engine::build(layer(), options);
  EXPECT_EQ(last, 1);
  EXPECT_NE(text.find("plan 2 of 2"), std::string::npos);
}

// Of a part, so that rows begin at any address.
TEST(Engine, ComputesOutputsThatNoCacheHolds) {
  constexpr int64_t kRows = 1501, kColumns = 1503;
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {kRows, kColumns});
  const Expression y = relu(x) * x.constant_like(3) - x.constant_like(1);
  graph.output("y", concat({x, y}, 1));
  Session session = Engine::build(graph).session(2);
  Tensor in = Tensor::zeros(DType::f32, {kRows, kColumns});
  for (int64_t i = 0; i < in.elements(); ++i) in.as<float>()[i] = static_cast<float>(i % 977) - 400;
  const Tensor out = session.run({{"x", in}}).at("y");
  ASSERT_EQ(out.shape, (Dims{kRows, 2 * kColumns}));
  int64_t wrong = 0;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < kColumns; ++c) {
      const float value = in.as<float>()[r * kColumns + c];
      const float* row = out.as<float>() + r * 2 * kColumns;
      wrong += row[c] != value || row[kColumns + c] != std::max(value, 0.0f) * 3 - 1;
    }
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tutti
