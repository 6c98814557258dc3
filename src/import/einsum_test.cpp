// SPDX-License-Identifier: Apache-2.0
#include "import/einsum.h"

#include "import/run_for_tests.h"

namespace tutti {
namespace {

Values run_einsum(const std::string& equation, const std::vector<Tensor>& operands,
                  std::string* shape) {
  Graph graph;
  Function function{"run"};
  TensorsByName inputs;
  std::vector<ValueId> ids;
  for (const Tensor& operand : operands) {
    const std::string name(1, static_cast<char>('a' + inputs.size()));
    inputs[name] = operand;
    ids.push_back(function.add_input(name, {operand.dtype, to_shape(operand.shape)}));
  }
  Emitter emitter(function);
  function.outputs.push_back({"y", einsum(emitter, equation, ids)});
  graph.functions.push_back(function);
  const Tensor y = run_graph(graph, inputs).at("y");
  *shape = to_string(y.shape);
  return values_of(y);
}

TEST(Einsum, MultipliesMatricesOfABatch) {
  const Tensor a = random_tensor(DType::f32, {2, 3, 4}, 1);
  const Tensor b = random_tensor(DType::f32, {5, 2, 4}, 2);
  const Values x = values_of(a), y = values_of(b);
  Values expected;
  for (int n = 0; n < 2; ++n)
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 5; ++j) {
        double sum = 0;
        for (int k = 0; k < 4; ++k)
          sum += x[static_cast<size_t>((n * 3 + i) * 4 + k)] *
                 y[static_cast<size_t>((j * 2 + n) * 4 + k)];
        expected.push_back(sum);
      }
  std::string shape;
  EXPECT_EQ(run_einsum("nik,jnk->nij", {a, b}, &shape), expected);
  EXPECT_EQ(shape, "[2, 3, 5]");
}

TEST(Einsum, SumsAndTransposesOneOperand) {
  const Tensor a = tensor_of(DType::f32, {2, 3}, {1, 2, 3, 4, 5, 6});
  std::string shape;
  EXPECT_EQ(run_einsum("ij->j", {a}, &shape), (Values{5, 7, 9}));
  EXPECT_EQ(run_einsum("ij -> ji", {a}, &shape), (Values{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(run_einsum("ba", {a}, &shape), (Values{1, 4, 2, 5, 3, 6}));
}

TEST(Einsum, BroadcastsUnderAnEllipsis) {
  const Tensor a = tensor_of(DType::f32, {2, 1, 2}, {1, 2, 3, 4});
  const Tensor b = tensor_of(DType::f32, {3, 2}, {1, 0, 0, 1, 1, 1});
  std::string shape;
  EXPECT_EQ(run_einsum("...i,...i->...", {a, b}, &shape), (Values{1, 2, 3, 3, 4, 7}));
  EXPECT_EQ(shape, "[2, 3]");
}

TEST(Einsum, MultipliesThreeOperandsInTurn) {
  const Tensor a = tensor_of(DType::f32, {2}, {1, 2}), b = tensor_of(DType::f32, {2}, {3, 4});
  const Tensor c = tensor_of(DType::f32, {2, 2}, {1, 2, 3, 4});
  std::string shape;
  EXPECT_EQ(run_einsum("i,j,ij->", {a, b, c}, &shape),
            (Values{1 * 3 * 1 + 1 * 4 * 2 + 2 * 3 * 3 + 2 * 4 * 4}));
}

TEST(Einsum, TakesTheDiagonalOfALetterThatStandsTwice) {
  const Tensor a = tensor_of(DType::f32, {2, 3, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  std::string shape;
  EXPECT_EQ(run_einsum("iji->ij", {a}, &shape), (Values{1, 3, 5, 8, 10, 12}));
  EXPECT_EQ(run_einsum("iji->j", {a}, &shape), (Values{9, 13, 17}));
}

TEST(Einsum, RefusesEquationsThatDoNotFit) {
  const Tensor a = tensor_of(DType::f32, {2, 2}, {1, 2, 3, 4});
  std::string shape;
  EXPECT_THROW(run_einsum("ijk->i", {a}, &shape), Error);
  EXPECT_THROW(run_einsum("ij,jk->ik", {a}, &shape), Error);
  EXPECT_THROW(run_einsum("ij->k", {a}, &shape), Error);
}

}  // namespace
}  // namespace tutti
