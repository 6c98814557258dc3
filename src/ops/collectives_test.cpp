// SPDX-License-Identifier: Apache-2.0
#include "ops/collectives.h"

#include "comm/collective.h"
#include "ops/elementwise.h"
#include "ops/ops_for_tests.h"

namespace tutti {
namespace {

const Dim s = Dim::symbol("s");
const RankList kTwo{"", {}, 2};
const RankList kAny{"tp", {}, 0};

TensorType f32(const Shape& shape) { return {DType::f32, shape}; }

std::vector<TensorType> infer(const Op& op, std::vector<TensorType> in) { return op.infer(in); }

TensorType result(const Op& op, TensorType x) { return infer(op, {std::move(x)})[0]; }

struct Named {
  Op op;
  TensorType wanted;
};

// TensorRT's sample for two ranks: x is [3, 4], and axis 1 is the one cut or joined.
TEST(Collectives, HaveTheShapesOfTensorRt) {
  const Named cases[] = {
      {AllReduce{kTwo}, f32({3, 4})},      {ReduceTo{kTwo, "sum", 0}, f32({3, 4})},
      {Broadcast{kTwo, 0}, f32({3, 4})},   {ReduceScatter{kTwo, "sum", 1}, f32({3, 2})},
      {AllGather{kTwo, 1}, f32({3, 8})},   {GatherTo{kTwo, 0, 1}, f32({3, 8})},
      {AllToAll{kTwo, 1, 1}, f32({3, 4})}, {ScatterFrom{kTwo, 0, 1}, f32({3, 2})}};
  for (const auto& [op, wanted] : cases) EXPECT_EQ(result(op, f32({3, 4})), wanted) << op.name();
}

TEST(Collectives, CutAndJoinAnyAxisOfSeveralLists) {
  const RankList lists{"", {0, 3, 1, 2, 5, 4}, 3};
  EXPECT_EQ(result(AllGather{lists, 2}, f32({2, 5, 6, 1})), f32({2, 5, 18, 1}));
  EXPECT_EQ(result(ReduceScatter{lists, "max", 2}, f32({2, 5, 6, 1})), f32({2, 5, 2, 1}));
  EXPECT_EQ(result(AllToAll{lists, 2, 0}, f32({2, 5, 6, 1})), f32({6, 5, 2, 1}));
  EXPECT_EQ(result(AllToAllV{lists, 1, {1, 0, 4}, {2, 2, 7}}, f32({2, 5})), f32({2, 11}));
}

TEST(Collectives, CutAndJoinSymbolicAxes) {
  EXPECT_EQ(result(AllGather{kTwo, 0}, f32({s})), f32({s * 2}));
  EXPECT_EQ(result(ReduceScatter{kTwo, "sum", 0}, f32({s * 4, 3})), f32({s * 2, 3}));
  EXPECT_EQ(result(ScatterFrom{kTwo, 1, 0}, f32({s})), f32({floor_div(s, 2)}));
  EXPECT_EQ(result(AllToAll{kTwo, 0, 0}, f32({s})), f32({s}));
  EXPECT_EQ(result(AllToAll{kTwo, 1, 0}, f32({s, 4})), f32({s * 2, 2}));
  EXPECT_EQ(result(AllToAllV{kTwo, 0, {1, 2}, {3, 1}}, f32({s})), f32({4}));
}

TEST(Collectives, CarryEveryTypeThatTheyOnlyMove) {
  for (DType dtype : kAllDTypes)
    for (const Op& op :
         {Op(AllGather{kTwo}), Op(AllToAll{kTwo}), Op(Broadcast{kTwo}), Op(GatherTo{kTwo})})
      EXPECT_EQ(result(op, {dtype, {2}}).dtype, dtype) << op.name();
}

// The table of docs/collectives.md.
TEST(Collectives, ReduceTheTypesForWhichItIsDefined) {
  const auto defined = [](DType dtype, std::string_view reduce) {
    if (is_float(dtype)) return true;
    if (dtype == DType::boolean) return reduce == "max" || reduce == "min";
    return reduce != "avg";
  };
  for (DType dtype : kAllDTypes)
    for (const char* reduce : {"sum", "prod", "max", "min", "avg"})
      for (const Op& op : {Op(AllReduce{kTwo, reduce}), Op(ReduceScatter{kTwo, reduce}),
                           Op(ReduceTo{kTwo, reduce})}) {
        const TensorType x{dtype, {4}};
        if (defined(dtype, reduce))
          EXPECT_EQ(result(op, x).dtype, dtype);
        else
          expect_error([&] { result(op, x); }, {std::string(op.name()), to_string(x), reduce});
      }
  expect_error([] { result(AllReduce{kTwo, "mean"}, f32({})); }, {"all_reduce", "mean", "avg"});
}

TEST(Collectives, TakeScalarsWhereNothingIsCut) {
  for (const Op& op : {Op(AllReduce{kTwo}), Op(Broadcast{kTwo}), Op(ReduceTo{kTwo})})
    EXPECT_EQ(result(op, f32({})), f32({})) << op.name();
  for (const Op& op : {Op(AllGather{kTwo}), Op(ReduceScatter{kTwo}), Op(AllToAll{kTwo}),
                       Op(GatherTo{kTwo}), Op(ScatterFrom{kTwo}), Op(AllToAllV{kTwo})})
    expect_error([&] { result(op, f32({})); }, {std::string(op.name()), "axis 0", "f32[]"});
}

TEST(Collectives, LeaveTheSizeOpenWhereTheShapeDoesNotFollowFromIt) {
  for (const Op& op :
       {Op(AllReduce{kAny}), Op(Broadcast{kAny, 7}), Op(ReduceTo{kAny}), Op(AllToAll{kAny, 1, 1})})
    EXPECT_EQ(result(op, f32({3, 5})), f32({3, 5})) << op.name();
  EXPECT_EQ(infer(RankInGroup{kAny}, {})[0], (TensorType{DType::i64, {}}));
  for (const Op& op : {Op(AllGather{kAny}), Op(ReduceScatter{kAny}), Op(GatherTo{kAny}),
                       Op(ScatterFrom{kAny}), Op(AllToAll{kAny, 0, 1}), Op(AllToAllV{kAny})})
    expect_error([&] { result(op, f32({4, 4})); }, {std::string(op.name()), "size is 0"});
}

TEST(Collectives, RefuseWhatCannotBeCut) {
  for (const Op& op : {Op(ReduceScatter{kTwo}), Op(ScatterFrom{kTwo}), Op(AllToAll{kTwo}),
                       Op(AllToAll{kTwo, 0, 1})})
    expect_error(
        [&] {
          result(op, f32({3, 4}));
        },
        {std::string(op.name()), "f32[3, 4]", "multiple of 2", "axis 0"});
  expect_error([] { result(ReduceScatter{kTwo}, f32({s * 2 + 1})); }, {"2*s + 1", "multiple of 2"});
  expect_error([] { result(AllGather{kTwo, 2}, f32({3, 4})); }, {"all_gather", "axis 2"});
  expect_error([] { result(AllToAll{kTwo, 0, 2}, f32({2, 4})); }, {"all_to_all", "axis 2"});
}

TEST(Collectives, RefuseListsThatAreNoRanks) {
  const auto with = [](RankList where) { result(AllReduce{where}, f32({3})); };
  expect_error([&] { with({"", {}, -1}); }, {"all_reduce", "size is -1"});
  expect_error([&] { with({"", {0, 1, 2}, 2}); }, {"[0, 1, 2]", "lists of 2"});
  expect_error([&] { with({"", {0, 1, 1, 2}, 2}); }, {"[0, 1, 1, 2]", "at most once"});
  expect_error([&] { with({"", {0, -1}, 2}); }, {"[0, -1]", "0 or more"});
  expect_error([&] { with({"", {0, 1}, 0}); }, {"[0, 1]", "size is 0"});
  expect_error([] { infer(RankInGroup{{"", {}, -1}}, {}); }, {"rank", "size is -1"});
}

TEST(Collectives, RefusePositionsOutsideOfTheList) {
  for (int64_t root : {-1, 2})
    for (const Op& op : {Op(Broadcast{kTwo, root}), Op(ReduceTo{kTwo, "sum", root}),
                         Op(GatherTo{kTwo, root}), Op(ScatterFrom{kTwo, root})})
      expect_error([&] { result(op, f32({2})); },
                   {std::string(op.name()), join("root is ", root), "less than 2"});
  expect_error([] { infer(Send{kTwo, 2}, {f32({})}); }, {"send", "to is 2"});
  expect_error([] { infer(Recv{kTwo, -1}, {}); }, {"recv", "from is -1"});
  expect_error([] { infer(Send{{"", {}, 1}, 0}, {f32({})}); }, {"send", "size is 1"});
  expect_error([] { infer(Recv{{"", {}, 1}, 0}, {}); }, {"recv", "size is 1"});
}

TEST(Collectives, RefuseOtherNumbersOfOperands) {
  expect_error([] { infer(AllReduce{kTwo}, {}); }, {"all_reduce", "0 operands"});
  expect_error([] { infer(AllGather{kTwo}, {f32({2}), f32({2})}); }, {"all_gather", "2 operands"});
  expect_error([] { infer(Recv{kTwo}, {f32({2})}); }, {"recv", "1 operands"});
  expect_error([] { infer(RankInGroup{kTwo}, {f32({2})}); }, {"rank", "1 operands"});
}

TEST(AllToAllV, RefusesCountsThatDoNotFit) {
  const auto with = [](std::vector<int64_t> sends, std::vector<int64_t> receives) {
    result(AllToAllV{kTwo, 0, sends, receives}, f32({3}));
  };
  with({1, 2}, {0, 0});
  expect_error([&] { with({1, 1}, {1, 1}); }, {"all_to_all_v", "f32[3]", "[1, 1]", "extent 2"});
  expect_error([&] { with({3}, {1, 1}); }, {"sends is [3]", "2 numbers"});
  expect_error([&] { with({1, 2}, {-1, 1}); }, {"receives is [-1, 1]", "at least 0"});
  const AllToAllV alone{{"", {}, 1}, 0, {3}, {2}};
  expect_error([&] { result(alone, f32({3})); }, {"sends itself 3", "receives 2"});
}

TEST(Pairs, HaveNoResultAndNoOperand) {
  EXPECT_TRUE(infer(Send{kTwo, 1}, {f32({s, 3})}).empty());
  EXPECT_EQ(infer(Recv{kTwo, 1, DType::i8, {s, 3}}, {})[0], (TensorType{DType::i8, {s, 3}}));
}

TEST(Collectives, AreTheIdentityOnOneRank) {
  const RankList one{"", {}, 1};
  for (DType dtype : kAllDTypes) {
    const Tensor x = random_tensor(dtype, {3, 2}, 1);
    for (const Op& op :
         {Op(AllReduce{one, "max"}), Op(AllGather{one, 1}), Op(ReduceScatter{one, "min", 1}),
          Op(AllToAll{one, 0, 1}), Op(AllToAllV{one, 1, {2}, {2}}), Op(Broadcast{one}),
          Op(ReduceTo{one, "max"}), Op(GatherTo{one, 0, 1}), Op(ScatterFrom{one, 0, 1})})
      expect_in_all_layouts(op, {x}, values_of(x));
  }
  expect_values(run_op(RankInGroup{one}, {})[0], {0});
}

TEST(Collectives, NeedASessionThatIsBoundForMoreRanks) {
  const Tensor x = random_tensor(DType::f32, {2}, 1);
  expect_error([&] { run_op(AllReduce{kAny}, {x}); },
               {"all_reduce", "all ranks of group 'tp'", "session", "communicator"});
  expect_error([&] { run_op(AllGather{{"", {4, 5}, 2}}, {x}); }, {"all_gather", "ranks [4, 5]"});
  expect_error([&] { run_op(Send{kTwo, 1}, {x}); }, {"send", "2 ranks", "session"});
  expect_error([&] { run_op(RankInGroup{kTwo}, {}); }, {"rank", "2 ranks", "session"});
}

Tensor empty(DType dtype, const Dims& shape) {
  return {nullptr, dtype, shape, contiguous_strides(shape), nullptr};
}

// What the communicator says about the sizes of buffers must be those of the tensors.
TEST(GroupCall, CountsTheElementsOfTheTensors) {
  const RankList where{"cp", {1, 0}, 2};
  for (const Op& op :
       {Op(AllReduce{where}), Op(AllGather{where}), Op(ReduceScatter{where}), Op(AllToAll{where}),
        Op(AllToAllV{where, 0, {1, 3}, {1, 2}}), Op(Broadcast{where}), Op(ReduceTo{where}),
        Op(GatherTo{where}), Op(ScatterFrom{where}), Op(Send{where, 1})}) {
    const TensorType x{DType::i16, {4, 3}};
    const std::vector<Tensor> in{empty(x.dtype, {4, 3})};
    std::vector<Tensor> out;
    for (const TensorType& y : infer(op, {x}))
      out.push_back(empty(y.dtype, constant_dims(y.shape)));
    const auto call = group_call(op, in, out);
    ASSERT_TRUE(call);
    EXPECT_EQ(call->where, where);
    EXPECT_EQ(call->what.dtype, DType::i16);
    const int rank = 0;  // the root; an element of every table
    comm::check(call->what, rank, 2);
    EXPECT_EQ(comm::in_elements(call->what, rank, 2), 12) << op.name();
    EXPECT_EQ(comm::out_elements(call->what, rank, 2), out.empty() ? 0 : out[0].elements())
        << op.name();
  }
}

TEST(GroupCall, SaysTheOperationAsTheGroupKnowsIt) {
  const std::vector<Tensor> x{empty(DType::f32, {6, 2})}, half{empty(DType::f32, {3, 2})};
  const auto text = [](const Op& op, const std::vector<Tensor>& in,
                       const std::vector<Tensor>& out) {
    return comm::describe(group_call(op, in, out)->what);
  };
  EXPECT_EQ(text(AllReduce{kTwo, "avg"}, x, x), "all_reduce avg f32 x 12");
  EXPECT_EQ(text(ReduceScatter{kTwo, "max"}, x, half), "reduce_scatter max f32 x 6");
  EXPECT_EQ(text(ReduceTo{kTwo, "prod", 1}, x, x), "reduce prod f32 x 12 to 1");
  EXPECT_EQ(text(Broadcast{kTwo, 1}, x, x), "broadcast f32 x 12 from 1");
  EXPECT_EQ(text(GatherTo{kTwo, 1}, half, x), "gather f32 x 6 to 1");
  EXPECT_EQ(text(ScatterFrom{kTwo, 1}, x, half), "scatter f32 x 6 from 1");
  EXPECT_EQ(text(AllToAll{kTwo}, x, x), "all_to_all f32 x 6");
  EXPECT_EQ(text(AllToAll{kAny}, x, x), "all_to_all f32 x 12");
  EXPECT_EQ(text(Send{kTwo, 1}, x, {}), "send f32 x 12 to 1");
  EXPECT_EQ(text(Recv{kTwo, 1}, {}, x), "recv f32 x 12 from 1");
}

TEST(GroupCall, GivesEachPeerWholeIndices) {
  GroupCall moved;
  moved = *group_call(AllToAllV{kTwo, 0, {1, 3}, {1, 0}}, std::vector{empty(DType::f32, {4, 3, 2})},
                      std::vector{empty(DType::f32, {1, 3, 2})});
  EXPECT_EQ(moved.sends, (std::vector<int64_t>{6, 18}));
  EXPECT_EQ(moved.receives, (std::vector<int64_t>{6, 0}));
  EXPECT_EQ(moved.what.sends.data(), moved.sends.data());
  EXPECT_EQ(moved.what.receives.data(), moved.receives.data());
}

TEST(Collectives, HaveEffectsAndRankHasNone) {
  for (const Op& op : {Op(AllReduce{}), Op(AllToAllV{}), Op(Send{}), Op(Recv{})}) {
    EXPECT_TRUE(op.has_effects() && is_collective(op)) << op.name();
  }
  for (const Op& op : {Op(RankInGroup{}), Op(ElementwiseOp{Elementwise::add})}) {
    EXPECT_FALSE(op.has_effects() || is_collective(op)) << op.name();
    EXPECT_FALSE(group_call(op, {}, {}));
  }
}

}  // namespace
}  // namespace tutti
