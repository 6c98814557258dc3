// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>

#include "compile/pass.h"
#include "device/cpu/pool.h"
#include "ops/collectives.h"

namespace tutti {
namespace {

using Numbers = std::vector<float>;

Function lowered(const Op& op, const Dims& shape) {
  Program program;
  const CompileOptions options;
  Compilation c{program, {.name = "run"}, options};
  const ValueId x = c.function.add_input("x", {DType::f32, to_shape(shape)});
  c.function.outputs.push_back({"y", c.function.add1(op, {x})});
  lower_collectives(c);
  c.function.remove_dead();
  return c.function;
}

std::vector<std::string> names(const Function& f) {
  std::vector<std::string> list;
  for (const Node& node : f.nodes) list.emplace_back(node.op.name());
  return list;
}

// One rank's result of a function of one operand; collectives run in the group.
Tensor run(const Function& f, const Tensor& x, Communicator& group) {
  cpu::Pool pool(1);
  std::vector<Tensor> values(f.values.size());
  values[static_cast<size_t>(f.inputs[0])] = x;
  for (const Node& node : f.nodes) {
    std::vector<Tensor> in, out;
    for (ValueId id : node.inputs) in.push_back(values[static_cast<size_t>(id)]);
    for (ValueId id : node.outputs) {
      out.push_back(Tensor::zeros(f.type(id).dtype, constant_dims(f.type(id).shape)));
      values[static_cast<size_t>(id)] = out.back();
    }
    auto call = group_call(node.op, in, out);
    if (!call)
      node.op.cpu({in, out, nullptr, pool});
    else {
      if (call->where.size == 0) call->what.count /= group.size();
      group.run(call->what, in[0].data, out[0].data);
    }
  }
  return values[static_cast<size_t>(f.outputs[0].value)];
}

// The results of all ranks; rank r's operand is in[r].
std::vector<Numbers> results(const Op& op, const Dims& shape, const std::vector<Numbers>& in) {
  const Function f = lowered(op, shape);
  std::vector<Numbers> out(in.size());
  run_ranks(static_cast<int>(in.size()), [&](Communicator& group) {
    const auto rank = static_cast<size_t>(group.rank());
    const Tensor x = Tensor::zeros(DType::f32, shape);
    std::copy(in[rank].begin(), in[rank].end(), x.as<float>());
    const Tensor y = run(f, x, group);
    out[rank].assign(y.as<float>(), y.as<float>() + y.elements());
  });
  return out;
}

Numbers numbers(int64_t count, float first, float step = 1) {
  Numbers list;
  for (int64_t i = 0; i < count; ++i) list.push_back(first + step * static_cast<float>(i));
  return list;
}

// Of TensorRT's sample for two ranks, where axis 1 of [3, 4] is cut or joined.
TEST(LowerCollectives, GiveTheValuesOfTensorRt) {
  const RankList two{"", {}, 2};
  const std::vector<Numbers> counted{numbers(12, 1), numbers(12, 10, 10)};
  const std::vector<Numbers> indexed{numbers(12, 0), numbers(12, 100)};
  EXPECT_EQ(results(ReduceScatter{two, "sum", 1}, {3, 4}, counted),
            (std::vector<Numbers>{{11, 22, 55, 66, 99, 110}, {33, 44, 77, 88, 121, 132}}));
  const Numbers joined{0,   1,   2,   3,   100, 101, 102, 103, 4,   5,   6,   7,
                       104, 105, 106, 107, 8,   9,   10,  11,  108, 109, 110, 111};
  EXPECT_EQ(results(AllGather{two, 1}, {3, 4}, indexed), (std::vector<Numbers>{joined, joined}));
  EXPECT_EQ(results(GatherTo{two, 0, 1}, {3, 4}, indexed)[0], joined);
  const std::vector<Numbers> exchanged{{0, 1, 100, 101, 4, 5, 104, 105, 8, 9, 108, 109},
                                       {2, 3, 102, 103, 6, 7, 106, 107, 10, 11, 110, 111}};
  EXPECT_EQ(results(AllToAll{two, 1, 1}, {3, 4}, indexed), exchanged);
  EXPECT_EQ(results(AllToAll{{}, 1, 1}, {3, 4}, indexed), exchanged);
  EXPECT_EQ(results(ScatterFrom{two, 0, 1}, {3, 4}, {numbers(12, 0), numbers(12, 99, 0)}),
            (std::vector<Numbers>{{0, 1, 4, 5, 8, 9}, {2, 3, 6, 7, 10, 11}}));
}

// Element [i, j, k] of a tensor whose elements have numbers of their own.
struct Cube {
  Dims shape;
  Numbers values;
  float& at(const Dims& i) {
    return values[static_cast<size_t>((i[0] * shape[1] + i[1]) * shape[2] + i[2])];
  }
};

void for_each_index(const Dims& shape, const std::function<void(const Dims&)>& f) {
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < shape[1]; ++j)
      for (int64_t k = 0; k < shape[2]; ++k) f({i, j, k});
}

TEST(LowerCollectives, ExchangeBlocksOfAnyAxisForAnyOther) {
  const Dims shape{3, 6, 9};
  std::vector<Numbers> in;
  for (int s = 0; s < 3; ++s) in.push_back(numbers(162, static_cast<float>(1000 * s)));
  for (int split = 0; split < 3; ++split)
    for (int joined = 0; joined < 3; ++joined) {
      const auto out = results(AllToAll{{"", {}, 3}, split, joined}, shape, in);
      const int64_t block = shape[split] / 3;
      for (int r = 0; r < 3; ++r) {
        Dims wanted = shape;
        wanted[split] /= 3, wanted[joined] *= 3;
        Cube y{wanted, Numbers(162)};
        for (int s = 0; s < 3; ++s) {
          Cube x{shape, in[static_cast<size_t>(s)]};
          for_each_index(shape, [&](Dims from) {
            if (from[split] / block != r) return;
            Dims to = from;
            to[split] -= r * block;
            to[joined] += s * (split == joined ? block : shape[joined]);
            y.at(to) = x.at(from);
          });
        }
        EXPECT_EQ(out[static_cast<size_t>(r)], y.values) << split << " " << joined << " " << r;
      }
    }
}

TEST(LowerCollectives, ExchangeBlocksOfAnySizeAlongAnyAxis) {
  const RankList two{"", {}, 2};
  const std::vector<Numbers> in{numbers(6, 0), numbers(6, 10)};
  const std::vector<Numbers> wanted{{0, 1, 10, 11, 3, 4, 13, 14}, {2, 12, 5, 15}};
  // Each rank sends two columns to rank 0 and one to rank 1, so they differ in what they receive.
  std::vector<Function> f{lowered(AllToAllV{two, 1, {2, 1}, {2, 2}}, {2, 3}),
                          lowered(AllToAllV{two, 1, {2, 1}, {1, 1}}, {2, 3})};
  run_ranks(2, [&](Communicator& group) {
    const auto rank = static_cast<size_t>(group.rank());
    const Tensor x = Tensor::zeros(DType::f32, {2, 3});
    std::copy(in[rank].begin(), in[rank].end(), x.as<float>());
    const Tensor y = run(f[rank], x, group);
    EXPECT_EQ(Numbers(y.as<float>(), y.as<float>() + y.elements()), wanted[rank]);
  });
}

using Names = std::vector<std::string>;

TEST(LowerCollectives, LeaveAxis0AndWhatHasNone) {
  const RankList two{"", {}, 2};
  for (const Op& op : {Op(AllGather{two}), Op(ReduceScatter{two}), Op(AllToAll{two}),
                       Op(AllReduce{two}), Op(Broadcast{two}), Op(ScatterFrom{two})})
    EXPECT_EQ(names(lowered(op, {4, 3})), Names{std::string(op.name())});
}

TEST(LowerCollectives, PermuteOnlyWhatLiesBehindALongAxis) {
  const RankList two{"", {}, 2};
  EXPECT_EQ(names(lowered(AllGather{two, 2}, {1, 1, 4})),
            (Names{"reshape", "all_gather", "reshape"}));
  EXPECT_EQ(names(lowered(ScatterFrom{two, 0, 2}, {1, 1, 4})),
            (Names{"reshape", "scatter_from", "reshape"}));
  EXPECT_EQ(names(lowered(AllGather{two, 1}, {3, 4})),
            (Names{"reshape", "all_gather", "reshape", "permute", "reshape"}));
  EXPECT_EQ(names(lowered(ReduceScatter{two, "sum", 1}, {3, 4})),
            (Names{"reshape", "permute", "reduce_scatter", "reshape"}));
}

TEST(LowerCollectives, TakeEmptyTensors) {
  const RankList two{"", {}, 2};
  for (const Op& op : {Op(AllGather{two, 1}), Op(ReduceScatter{two, "sum", 1}),
                       Op(AllToAll{two, 1, 2}), Op(AllToAll{{}, 1, 1})})
    EXPECT_EQ(results(op, {3, 0, 2}, {{}, {}}), (std::vector<Numbers>{{}, {}})) << op.name();
}

TEST(LowerCollectives, TakeTensorsOfTheLargestRank) {
  const RankList two{"", {}, 2};
  Dims shape = Dims::filled(Dims::kMaxRank, 2);
  for (const Op& op : {Op(AllGather{two, 4}), Op(AllToAll{two, 6, 2}), Op(AllToAll{{}, 3, 3})})
    EXPECT_EQ(lowered(op, shape).outputs.size(), 1) << op.name();
}

TEST(LowerCollectives, RemoveThoseOfOneRank) {
  const RankList one{"", {}, 1};
  for (const Op& op : {Op(AllReduce{one}), Op(AllGather{one, 1}), Op(AllToAll{one, 0, 1}),
                       Op(AllToAllV{one, 0, {4}, {4}}), Op(ScatterFrom{one, 0, 1})})
    EXPECT_EQ(names(lowered(op, {4, 3})), Names{}) << op.name();
}

// Another rank than 5 gets zeros.
TEST(LowerCollectives, KeepListsOfOneRank) {
  EXPECT_EQ(names(lowered(AllReduce{{"", {5}, 1}}, {4, 3})), Names{"all_reduce"});
}

TEST(LowerCollectives, MakeTheRankOfOneRank0) {
  Program program;
  const CompileOptions options;
  Compilation c{program, {.name = "run"}, options};
  c.function.outputs.push_back({"one", c.function.add1(RankInGroup{{"", {}, 1}}, {})});
  c.function.outputs.push_back({"two", c.function.add1(RankInGroup{{"", {}, 2}}, {})});
  EXPECT_TRUE(lower_collectives(c));
  EXPECT_EQ(names(c.function), (Names{"full", "rank"}));
}

}  // namespace
}  // namespace tutti
