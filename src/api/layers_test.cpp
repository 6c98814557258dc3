// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "tutti/engine.h"

namespace tutti {
namespace {

// y = ab(a(x)): a gives q = tanh(relu(x)) and its inner layer e = exp(q), ab adds sqrt(e) and q.
GraphBuilder network(bool layers) {
  GraphBuilder graph;
  const Expression x = graph.input("x", DType::f32, {2, 3});
  if (layers) graph.set_scope("a");
  const Expression q = tanh(relu(x));
  if (layers) graph.set_scope("a.inner");
  const Expression e = exp(q);
  if (layers) graph.set_scope("ab");
  graph.output("y", sqrt(e) + q);
  return graph;
}

TEST(Layers, GiveWhatTheirReadersOutsideRead) {
  std::vector<std::string> found;
  for (const LayerInfo& layer : Engine::build(network(true)).layers()) {
    found.push_back(layer.scope + " " + layer.operation);
    EXPECT_EQ(layer.dtype, DType::f32);
    EXPECT_EQ(layer.shape, (Dims{2, 3}));
  }
  // relu is read inside of "a" only.
  EXPECT_EQ(found, (std::vector<std::string>{"a tanh", "a.inner exp"}));
}

TEST(Layers, AreSingleOperatorsWhereTheNetworkHasNone) {
  std::vector<std::string> found;
  for (const LayerInfo& layer : Engine::build(network(false)).layers())
    found.push_back(layer.operation);
  EXPECT_EQ(found, (std::vector<std::string>{"relu", "tanh", "exp", "sqrt"}));
}

TEST(Layers, AreWatched) {
  const std::string name = Engine::build(network(true)).layers().at(1).value;
  for (const bool fuse : {true, false}) {
    BuildOptions options;
    options.watch = {name};
    options.fuse = fuse;
    const Engine engine = Engine::build(network(true), options);
    EXPECT_EQ(engine.outputs().size(), 2u);
    const Tensor x = Tensor::zeros(DType::f32, {2, 3});
    for (int i = 0; i < 6; ++i) x.as<float>()[i] = static_cast<float>(i - 3);
    const TensorMap found = engine.session(1).run({{"x", x}});
    for (int i = 0; i < 6; ++i) {
      const double q = std::tanh(std::max(i - 3, 0)), wanted = std::exp(q);
      EXPECT_NEAR(found.at(name).as<float>()[i], wanted, 1e-5 * wanted);
      EXPECT_NEAR(found.at("y").as<float>()[i], std::exp(q / 2) + q, 1e-5 * wanted);
    }
  }
}

TEST(Layers, RefuseNamesThatAreNone) {
  const auto error = [](const std::string& name) {
    BuildOptions options;
    options.watch = {name};
    try {
      Engine::build(network(true), options);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("built");
  };
  EXPECT_NE(error("rely").find("watched value rely is not known; nearest: relu"), std::string::npos)
      << error("rely");
  EXPECT_NE(error("y"), "built");
}

}  // namespace
}  // namespace tutti
