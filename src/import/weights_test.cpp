// SPDX-License-Identifier: Apache-2.0
#include "import/weights.h"

#include <gtest/gtest.h>

#include <map>

#include "core/error.h"
#include "import/run_for_tests.h"
#include "ops/elementwise.h"

namespace tutti {
namespace {

class Source : public WeightSource {
 public:
  explicit Source(std::map<std::string, Tensor, std::less<>> tensors)
      : tensors_(std::move(tensors)) {}
  const std::string& path() const override { return path_; }
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors_) names.push_back(name);
    return names;
  }
  std::optional<Tensor> find(std::string_view name) const override {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::string path_ = "a.safetensors";
};

Tensor filled(DType dtype, const Dims& shape, float value) {
  const Tensor wide = Tensor::zeros(DType::f32, shape);
  for (int64_t i = 0; i < wide.elements(); ++i) wide.as<float>()[i] = value;
  return cast(wide, dtype);
}

Graph graph_of(DType dtype) {
  Graph graph;
  graph.add_resident({"blocks.0.weight", {dtype, {2, 3}}});
  graph.add_resident(
      {"table", {DType::i64, {2}}, Resident::Kind::bound, Tensor::zeros(DType::i64, {2})});
  return graph;
}

std::string message_of(Graph& graph, const Source& source, Errc code) {
  try {
    bind_weights(graph, source);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(Weights, BindsByNameAndCountsWhatIsLeft) {
  Graph graph = graph_of(DType::f32);
  const Source source({{"blocks.0.weight", filled(DType::f32, {2, 3}, 1.5f)},
                       {"head", filled(DType::f32, {1}, 0)}});
  const BoundWeights result = bind_weights(graph, source);
  EXPECT_EQ(result.bound, 1u);
  EXPECT_EQ(result.unused, 1u);
  EXPECT_EQ(result.converted, 0u);
  EXPECT_EQ(graph.residents[0].data.as<float>()[5], 1.5f);
}

TEST(Weights, WidensOnlyWhenAsked) {
  Graph graph = graph_of(DType::f32);
  const Source source({{"blocks.0.weight", filled(DType::bf16, {2, 3}, 1.5f)}});
  const std::string message = message_of(graph, source, Errc::invalid_argument);
  EXPECT_NE(message.find("--dtype f32"), std::string::npos) << message;
  EXPECT_NE(message.find("blocks.0.weight is bf16; f32 is wanted"), std::string::npos) << message;
  EXPECT_EQ(graph.residents[0].data.data, nullptr);
}

TEST(Weights, StayAsTheyAreStoredAndFunctionsWidenThem) {
  Graph graph = graph_of(DType::f32);
  Function run{.name = "run"};
  const ValueId w = run.read(0, "blocks.0.weight", graph.residents[0].type);
  const ValueId x = run.add_input("x", {DType::f32, {2, 3}});
  run.outputs = {{"y", run.add1(ElementwiseOp{Elementwise::mul}, {x, w})}, {"w", w}};
  graph.functions.push_back(run);
  const Source source({{"blocks.0.weight", filled(DType::bf16, {2, 3}, 1.5f)}});
  EXPECT_EQ(bind_weights(graph, source, DType::f32).converted, 1u);
  EXPECT_EQ(graph.residents[0].type.dtype, DType::bf16);
  EXPECT_EQ(graph.residents[0].data.data, source.find("blocks.0.weight")->data);
  const TensorsByName found = run_graph(graph, {{"x", filled(DType::f32, {2, 3}, 2)}});
  EXPECT_EQ(found.at("y").as<float>()[5], 3.f);
  EXPECT_EQ(found.at("w").dtype, DType::f32);
  EXPECT_EQ(found.at("w").as<float>()[0], 1.5f);
}

TEST(Weights, NamesWhatIsMissingAndWhatIsNear) {
  Graph graph = graph_of(DType::f32);
  graph.add_resident({"other", {DType::f32, {1}}});
  const Source source({{"blocks.1.weight", filled(DType::f32, {2, 3}, 0)}});
  const std::string message = message_of(graph, source, Errc::not_found);
  EXPECT_NE(message.find("2 weights are missing"), std::string::npos) << message;
  EXPECT_NE(message.find("blocks.0.weight; nearest: blocks.1.weight"), std::string::npos)
      << message;
}

TEST(Weights, CountsWhatIsMissingBeyondTheFirstFew) {
  Graph graph = graph_of(DType::f32);
  for (int i = 0; i < 30; ++i) graph.add_resident({join("other", i), {DType::f32, {1}}});
  const std::string message = message_of(graph, Source({}), Errc::not_found);
  EXPECT_NE(message.find("31 weights are missing"), std::string::npos) << message;
  EXPECT_NE(message.find("and 23 more"), std::string::npos) << message;
}

TEST(Weights, RefusesAnotherShape) {
  Graph graph = graph_of(DType::f32);
  const Source source({{"blocks.0.weight", filled(DType::f32, {3, 2}, 0)}});
  const std::string message = message_of(graph, source, Errc::invalid_argument);
  EXPECT_NE(message.find("blocks.0.weight is [3, 2]; [2, 3] is wanted"), std::string::npos)
      << message;
}

}  // namespace
}  // namespace tutti
