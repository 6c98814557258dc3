// SPDX-License-Identifier: Apache-2.0
#include "import/lowering.h"

#include "import/lowering_for_tests.h"
#include "import/pt2_importer.h"

namespace tutti::pt2 {
namespace {

Item whole(int64_t value) { return Number::of_dim(value); }
Item real(double value) { return Number::of_real(value); }
Item wholes(const std::vector<int64_t>& values) {
  std::vector<Number> numbers;
  for (int64_t value : values) numbers.push_back(Number::of_dim(value));
  return numbers;
}

Tensor matrix() { return tensor_of(DType::f32, {2, 3}, {0, 1, 2, 3, 4, 5}); }

TEST(Lowering, WritesThroughViewsIntoTheirBase) {
  TestProgram p;
  const Ref x = p.tensor("clone", {{"self", p.input(matrix())}});
  const Ref row = p.tensor("select.int", {{"self", x}, {"dim", whole(0)}, {"index", whole(1)}});
  const Ref part =
      p.tensor("slice.Tensor", {{"self", row}, {"dim", whole(0)}, {"start", whole(1)}});
  p.call("add_.Tensor", {{"self", part}, {"other", whole(10)}});
  EXPECT_EQ(p.values(x), (Values{0, 1, 2, 3, 14, 15}));
  EXPECT_EQ(p.values(row), (Values{3, 14, 15}));
}

TEST(Lowering, ShowsWritesInViewsMadeBefore) {
  TestProgram p;
  const Ref x = p.tensor("clone", {{"self", p.input(matrix())}});
  const Ref turned = p.tensor("t", {{"self", x}});
  const Ref flat = p.tensor("view", {{"self", x}, {"size", wholes({-1})}});
  const Ref doubled = p.tensor("mul.Scalar", {{"self", flat}, {"other", whole(2)}});
  p.call("zero_", {{"self", p.tensor("select.int",
                                     {{"self", turned}, {"dim", whole(0)}, {"index", whole(2)}})}});
  EXPECT_EQ(p.values(flat), (Values{0, 1, 0, 3, 4, 0}));
  EXPECT_EQ(p.values(turned), (Values{0, 3, 1, 4, 0, 0}));
  EXPECT_EQ(p.values(doubled), (Values{0, 2, 4, 6, 8, 10})) << "a value is not a view";
}

TEST(Lowering, KeepsTheTypeAndShapeOfWhatIsWritten) {
  TestProgram p;
  const Ref x = p.tensor("clone", {{"self", p.input(tensor_of(DType::i64, {2, 2}, {1, 2, 3, 4}))}});
  const Ref y = p.input(tensor_of(DType::f32, {2}, {0.75, -1.5}));
  p.call("copy_", {{"self", x}, {"src", y}});
  const Tensor found = p.run({x})[0];
  EXPECT_EQ(found.dtype, DType::i64);
  EXPECT_EQ(values_of(found), (Values{0, -1, 0, -1}));
}

TEST(Lowering, LeavesACopyAloneWhenItsSourceChanges) {
  // x is [2, 3] by columns: flattening it copies, viewing its transpose does not.
  const std::vector<SymInt> sizes = {{2}, {3}}, strides = {{1}, {2}}, flat_size = {{6}};
  const std::vector<SymInt> flat_stride = {{1}};
  TensorMeta by_columns, flat;
  by_columns.sizes = sizes;
  by_columns.strides = strides;
  flat.sizes = flat_size;
  flat.strides = flat_stride;
  TestProgram p;
  const Ref x = p.tensor("clone", {{"self", p.input(matrix())}});
  p.l.remember(x, &by_columns);
  const Ref copy = p.tensor("reshape", {{"self", x}, {"shape", wholes({-1})}});
  p.l.remember(copy, &flat);
  p.call("neg_", {{"self", x}});
  p.call("add_.Tensor", {{"self", copy}, {"other", whole(1)}});
  EXPECT_EQ(p.values(copy), (Values{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(p.values(x), (Values{0, -1, -2, -3, -4, -5}));
}

TEST(Lowering, RefusesAWriteIntoRepeatedElements) {
  TestProgram p;
  const Ref x = p.tensor("clone", {{"self", p.input(tensor_of(DType::f32, {1, 2}, {1, 2}))}});
  const Ref wide = p.tensor("expand", {{"self", x}, {"size", wholes({3, 2})}});
  EXPECT_THROW(p.call("add_.Tensor", {{"self", wide}, {"other", whole(1)}}), Error);
}

TEST(Lowering, ComputesWithNumbersUnrounded) {
  TestProgram p;
  const Ref x = p.input(tensor_of(DType::bf16, {1}, {3}));
  // 0.3 is not a bf16: 3 * 0.3 is rounded once.
  const Ref y = p.tensor("mul.Tensor", {{"self", x}, {"other", real(0.3)}});
  EXPECT_EQ(p.values(y), (Values{static_cast<float>(bf16(3 * 0.3f))}));
  EXPECT_EQ(p.l.type(y).dtype, DType::bf16);
}

TEST(Lowering, TurnsIntegersIntoFloatsWherePytorchDoes) {
  TestProgram p;
  const Ref x = p.input(tensor_of(DType::i64, {2}, {7, -7}));
  const Ref half = p.tensor("div.Tensor", {{"self", x}, {"other", whole(2)}});
  EXPECT_EQ(p.values(half), (Values{3.5, -3.5}));
  const Ref down =
      p.tensor("div.Tensor_mode",
               {{"self", x}, {"other", whole(2)}, {"rounding_mode", std::string("floor")}});
  EXPECT_EQ(p.values(down), (Values{3, -4}));
  EXPECT_EQ(p.l.type(down).dtype, DType::i64);
}

TEST(Lowering, MultipliesComplexNumbersAsPairs) {
  TestProgram p;
  const Ref x = p.tensor("view_as_complex",
                         {{"self", p.input(tensor_of(DType::f32, {2, 2}, {1, 2, 3, -1}))}});
  const Ref y =
      p.tensor("view_as_complex", {{"self", p.input(tensor_of(DType::f32, {2}, {0, 1}))}});
  const Ref product = p.tensor("mul.Tensor", {{"self", x}, {"other", y}});
  EXPECT_EQ(p.l.rank(product), 1);
  EXPECT_EQ(p.values(product), (Values{-2, 1, 1, 3}));
}

TEST(Lowering, CutsSlicesOfSymbolicExtentsByTheirRanges) {
  TestProgram p({{"s", {4, 64}}});
  Function& f = p.l.e.function();
  const Dim s = Dim::symbol("s");
  const Ref x = p.l.fresh({f.add_input("y", {DType::f32, {s}})});
  const auto size = [&](int64_t start, const Dim& end) {
    const Ref part = p.tensor("slice.Tensor",
                              {{"self", x}, {"start", whole(start)}, {"end", Number::of_dim(end)}});
    return to_string(p.l.shape(part));
  };
  EXPECT_EQ(size(1, INT64_MAX), "[s - 1]");
  EXPECT_EQ(size(0, 3), "[3]");
  EXPECT_EQ(size(0, -2), "[s - 2]");
  EXPECT_EQ(size(2, s), "[s - 2]");
  EXPECT_EQ(size(0, s + 5), "[s]");
}

TEST(Lowering, FindsInPlaceFormsAndCopiesByTheirPlainOperator) {
  EXPECT_TRUE(find_rule("torch.ops.aten.add_.Tensor").in_place);
  EXPECT_TRUE(find_rule("torch.ops.aten.__ior__.Tensor").in_place);
  EXPECT_TRUE(find_rule("torch.ops.aten.permute_copy.default").copies);
  EXPECT_FALSE(find_rule("torch.ops.aten._to_copy.default").copies);
  EXPECT_EQ(find_rule("torch.ops.aten.nonsense.default").rule, nullptr);
  EXPECT_EQ(find_rule("torch.ops.aten.add.out").rule, nullptr);
}

TEST(Importer, NamesAllUnknownOperatorsAtOnce) {
  const std::string_view stack = "L__self__,,m.Net;L__self___a,blocks.3.attn,m.Attn";
  const std::vector<Node> nodes = {{"torch.ops.aten.add.Tensor"},
                                   {"torch.ops.aten.layer_nrom.default", {}, {}, "x", stack},
                                   {"torch.ops.aten.layer_nrom.default"},
                                   {"torch.ops._c10d_functional.batch_p2p_ops.default"}};
  Program program;
  program.where = "model.pt2";
  program.graph.nodes = nodes;
  ImportReport report;
  std::string message;
  try {
    require_known_targets(program, report);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::unsupported);
    message = error.what();
  }
  for (const char* part :
       {"2 operators are not supported", "torch.ops.aten.layer_nrom.default, 2 times",
        "in blocks.3.attn", "nearest known: layer_norm.default",
        "torch.ops._c10d_functional.batch_p2p_ops.default, 1 time"})
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  EXPECT_EQ(report.nodes, 4u);
}

}  // namespace
}  // namespace tutti::pt2
