// SPDX-License-Identifier: Apache-2.0
#include "import/lowering_for_tests.h"
#include "import/pt2.h"
#include "ops/collectives.h"

namespace tutti::pt2 {
namespace {

using Lines = std::vector<std::string>;

// "all_gather axis=0 group="1" size=2" for each collective, without attributes that say nothing.
Lines collectives(const Function& function) {
  Lines lines;
  for (const tutti::Node& node : function.nodes) {
    if (!is_collective(node.op)) continue;
    lines.emplace_back(node.op.name());
    for (const auto& [name, text] : node.op.attributes())
      if (text != "[]" && text != "0" && text != "\"\"") lines.back() += join(' ', name, '=', text);
  }
  return lines;
}

class Calls : public TestProgram {
 public:
  Results call(const std::string& name, std::initializer_list<Named> arguments) {
    return TestProgram::call("torch.ops." + name + ".default", arguments);
  }
  std::string lowered() { return join_list(collectives(l.e.function()), "; "); }
};

Item text(std::string_view value) { return std::string(value); }
Item number(int64_t value) { return Number::of_dim(value); }
Item numbers(const std::vector<Dim>& values) {
  std::vector<Number> list;
  for (const Dim& value : values) list.push_back(Number::of_dim(value));
  return list;
}

Tensor matrix(int64_t rows) { return Tensor::zeros(DType::f32, {rows, 3}); }

TEST(LowerCollective, TranslatesReductions) {
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"sum", "sum"}, {"product", "prod"}, {"min", "min"}, {"max", "max"}, {"avg", "avg"}};
  for (const auto& [theirs, ours] : kNames) {
    Calls p;
    const Ref x = p.input(matrix(4));
    p.call("_c10d_functional.all_reduce",
           {{"input", x}, {"reduce_op", text(theirs)}, {"group_name", text("7")}});
    EXPECT_EQ(p.lowered(), join("all_reduce reduce=\"", ours, "\" group=\"7\""));
  }
  for (const char* name : {"band", "bor", "bxor", "premul_sum", "SUM", ""}) {
    Calls p;
    const Ref x = p.input(matrix(4));
    expect_error(
        [&] {
          p.call("_c10d_functional.all_reduce",
                 {{"input", x}, {"reduce_op", text(name)}, {"group_name", text("7")}});
        },
        {"reduction", name, "sum, product, min, max and avg"});
  }
}

TEST(LowerCollective, TakesListsOneByOne) {
  Calls p;
  const Ref x = p.input(matrix(4)), y = p.input(matrix(2));
  const Results results = p.call("_c10d_functional.reduce_scatter_tensor_coalesced",
                                 {{"inputs", std::vector<Ref>{x, y}},
                                  {"reduce_op", text("max")},
                                  {"group_size", number(2)},
                                  {"group_name", text("a")}});
  const std::string one = R"(reduce_scatter reduce="max" group="a" size=2)";
  EXPECT_EQ(p.lowered(), one + "; " + one);
  ASSERT_EQ(results.items.size(), 2u);
  EXPECT_EQ(p.l.shape(std::get<Array>(results.items[1])), (Shape{1, 3}));
}

TEST(LowerCollective, ExchangesEqualBlocksOrThoseListed) {
  const auto lowered = [](const std::vector<Dim>& receives, const std::vector<Dim>& sends) {
    Calls p;
    const Ref x = p.input(matrix(6));
    p.call("_c10d_functional.all_to_all_single", {{"input", x},
                                                  {"output_split_sizes", numbers(receives)},
                                                  {"input_split_sizes", numbers(sends)},
                                                  {"group_name", text("a")}});
    return p.lowered();
  };
  EXPECT_EQ(lowered({3, 3}, {3, 3}), "all_to_all group=\"a\" size=2");
  EXPECT_EQ(lowered({}, {}), "all_to_all group=\"a\"");
  EXPECT_EQ(lowered({2, 4}, {5, 1}),
            "all_to_all_v sends=[5, 1] receives=[2, 4] group=\"a\" size=2");
  EXPECT_EQ(lowered({2, 2}, {3, 3}),
            "all_to_all_v sends=[3, 3] receives=[2, 2] group=\"a\" size=2");
  const Dim n = Dim::symbol("n");
  EXPECT_EQ(lowered({n, n}, {n, n}), "all_to_all group=\"a\" size=2");
  expect_error([&] { lowered({n, 3}, {3, 3}); }, {"all_to_all_single of n indices"});
  expect_error([&] { lowered({4}, {3, 3}); }, {"all_to_all_v", "receives is [4]", "2 numbers"});
}

TEST(LowerCollective, ReadsRanksFromOlderNames) {
  Calls p;
  const Ref x = p.input(matrix(4));
  const Item ranks = numbers({3, 1, 0, 2});
  p.call("c10d_functional.all_gather_into_tensor",
         {{"shard", x}, {"tag", text("")}, {"ranks", ranks}, {"group_size", number(2)}});
  p.call("c10d_functional.reduce_scatter_tensor", {{"input", x},
                                                   {"reduceOp", text("avg")},
                                                   {"tag", text("")},
                                                   {"ranks", ranks},
                                                   {"group_size", number(2)}});
  p.call("c10d_functional.broadcast", {{"self", x},
                                       {"src", number(1)},
                                       {"tag", text("")},
                                       {"ranks", ranks},
                                       {"group_size", number(2)}});
  EXPECT_EQ(p.lowered(),
            "all_gather ranks=[3, 1, 0, 2] size=2; "
            "reduce_scatter reduce=\"avg\" ranks=[3, 1, 0, 2] size=2; "
            "broadcast root=1 ranks=[3, 1, 0, 2] size=2");
}

TEST(LowerCollective, RefusesGroupsOfSeveralSizes) {
  Calls p;
  const Ref x = p.input(matrix(6));
  const auto gather = [&](std::string_view group, int64_t size) {
    p.call("_c10d_functional.all_gather_into_tensor",
           {{"input", x}, {"group_size", number(size)}, {"group_name", text(group)}});
  };
  gather("1", 2);
  gather("1", 2);
  gather("2", 3);
  expect_error([&] { gather("1", 3); }, {"group '1'", "3 ranks", "2 of the calls before"});
  expect_error(
      [&] {
        p.call("_c10d_functional.all_to_all_single", {{"input", x},
                                                      {"output_split_sizes", numbers({3, 3})},
                                                      {"input_split_sizes", numbers({3, 3})},
                                                      {"group_name", text("2")}});
      },
      {"group '2'", "2 ranks", "3 of the calls before"});
}

// How a rank finds the group of an operator.
using Groups = std::function<Communicator&(const RankList&)>;

// One rank's outputs of an imported program, node by node.
TensorsByName run_rank(const tutti::Graph& graph, const TensorsByName& inputs, const Groups& find) {
  const Function& run = graph.function("run");
  std::vector<Dims> shapes;
  for (ValueId id : run.inputs) shapes.push_back(inputs.at(run.value(id).name).shape);
  const Function f = specialize(run, bind_symbols(graph, run, shapes));
  std::vector<Tensor> values(f.values.size());
  for (ValueId id : f.inputs) values[static_cast<size_t>(id)] = inputs.at(f.value(id).name);
  for (size_t i = 0; i < values.size(); ++i)
    if (f.values[i].resident != kNone)
      values[i] = graph.residents[static_cast<size_t>(f.values[i].resident)].data;
  cpu::Pool pool(1);
  for (const tutti::Node& node : f.nodes) {
    std::vector<Tensor> in, out;
    std::vector<TensorType> types;
    for (ValueId id : node.inputs) {
      in.push_back(values[static_cast<size_t>(id)]);
      types.push_back(f.type(id));
    }
    for (ValueId id : node.outputs) {
      out.push_back(Tensor::zeros(f.type(id).dtype, constant_dims(f.type(id).shape)));
      values[static_cast<size_t>(id)] = out.back();
    }
    if (const auto call = group_call(node.op, in, out)) {
      find(call->where).run(call->what, contiguous(in[0]).data, out[0].data);
      continue;
    }
    const auto bytes = static_cast<int64_t>(node.op.workspace(types));
    const Tensor workspace = Tensor::zeros(DType::u8, {bytes});
    node.op.cpu({in, out, workspace.data, pool});
  }
  TensorsByName outputs;
  for (const Output& output : f.outputs)
    outputs[output.name] = values[static_cast<size_t>(output.value)];
  return outputs;
}

// Every rank of a stored run gives what it gave in PyTorch over Gloo.
void expect_stored_run(int size, const std::function<std::string(int)>& name) {
  run_ranks(size, [&](Communicator& world) {
    const int rank = world.rank();
    auto rows = world.split(rank / 2, rank);
    auto columns = world.split(rank % 2, rank);
    auto reversed = world.split(0, -rank);
    const Groups find = [&](const RankList& where) -> Communicator& {
      if (!where.ranks.empty()) return where.ranks[0] == 0 ? world : *reversed;
      if (where.group == "0") return world;
      return where.group == "1" || where.group == "2" ? *rows : *columns;
    };
    const std::string file = name(rank);
    const tutti::Graph graph = import_pt2(test_model(file + ".pt2"));
    verify(graph);
    const auto found = run_rank(graph, tensors_in(test_model(file + ".inputs.safetensors")), find);
    const auto wanted = tensors_in(test_model(file + ".outputs.safetensors"));
    ASSERT_FALSE(wanted.empty());
    expect_near(found, wanted, 5e-5, "");
  });
}

TEST(LowerCollective, GivesPytorchsOutputsOnGroupsOfAMesh) {
  expect_stored_run(4, [](int rank) { return join("versions/subgroup_rank", rank, "of4"); });
}

TEST(LowerCollective, GivesPytorchsOutputsInEveryForm) {
  expect_stored_run(2, [](int rank) { return join("collective_forms.rank", rank, "of2"); });
}

TEST(LowerCollective, GivesPytorchsOutputsOfATensorParallelBlock) {
  expect_stored_run(4, [](int rank) { return join("tp/tp_sub.rank", rank, "of4"); });
}

Lines imported(const std::string& name) {
  return collectives(import_pt2(test_model(name + ".pt2")).function("run"));
}

TEST(LowerCollective, KeepsTheOrderOfTheProgram) {
  EXPECT_EQ(
      imported("tp/tp_block.rank1of2"),
      (Lines{R"(all_reduce reduce="sum" group="0")",
             R"(reduce_scatter reduce="sum" group="0" size=2)", R"(all_gather group="0" size=2)"}));
  EXPECT_EQ(
      imported("versions/subgroup_rank3of4"),
      (Lines{R"(all_reduce reduce="sum" group="2")", R"(all_gather group="4" size=2)",
             R"(reduce_scatter reduce="sum" group="4" size=2)", R"(all_to_all group="2" size=2)",
             R"(all_to_all_v sends=[1, 7] receives=[5, 7] group="2" size=2)",
             R"(broadcast group="0")", R"(all_reduce reduce="max" group="0")",
             R"(all_reduce reduce="min" group="2")", R"(all_reduce reduce="sum" group="4")",
             R"(all_reduce reduce="sum" group="4")"}));
}

}  // namespace
}  // namespace tutti::pt2
