// SPDX-License-Identifier: Apache-2.0
#include "import/pt2_program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "core/test_data.h"
#include "import/pt2_archive.h"
#include "import/zip_for_tests.h"
#include "tutti/log.h"

namespace tutti::pt2 {
namespace {

// A program of one node that takes x and one more argument, and returns y; words in <> are filled
// in.
constexpr std::string_view kProgram = R"~({
  "schema_version": <version>, "torch_version": "2.15.0", "verifiers": ["ATEN"],
  "range_constraints": {"s0": {"min_val": 2, "max_val": null}, "2*s0": {"min_val": 4, "max_val": 8}},
  "graph_module": {
    "graph": {
      "inputs": <inputs>, "outputs": [{"as_tensor": {"name": "y"}}],
      "nodes": [{"target": "torch.ops.a.b", "inputs": [
          {"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1},
          {"name": "other", "arg": <argument>}],
        "outputs": [{"as_tensor": {"name": "y"}}], "name": "y",
        "metadata": {"nn_module_stack": "L__self__,,M;k,layers.0,L"}}],
      "tensor_values": {"y": <meta>, "x": <meta>}, "sym_int_values": <sym_ints>,
      "is_single_tensor_return": true},
    "signature": {"input_specs": <input_specs>, "output_specs": <output_specs>},
    "module_call_graph": []}})~";

constexpr std::string_view kMeta = R"~({"dtype": 7, "sizes": [
  {"as_expr": {"expr_str": "Symbol('s0', integer=True)", "hint": {"as_int": 5}}}, {"as_int": 3}],
  "requires_grad": false, "device": {"type": "cpu"}, "strides": [{"as_int": 3}, {"as_int": 1}],
  "storage_offset": {"as_int": 0}, "layout": 7})~";

struct Source {
  std::map<std::string, std::string> parts = {
      {"version", R"({"major": 8, "minor": 20})"},
      {"argument", R"({"as_int": 1})"},
      {"inputs", R"([{"as_tensor": {"name": "x"}}])"},
      {"input_specs", R"([{"user_input": {"arg": {"as_tensor": {"name": "x"}}}}])"},
      {"output_specs", R"([{"user_output": {"arg": {"as_tensor": {"name": "y"}}}}])"},
      {"meta", std::string(kMeta)},
      {"sym_ints", "{}"}};

  std::string& operator[](const std::string& name) { return parts[name]; }

  std::string json() const {
    std::string text(kProgram);
    for (const auto& [name, value] : parts) {
      const std::string mark = "<" + name + ">";
      for (size_t at; (at = text.find(mark)) != std::string::npos;)
        text.replace(at, mark.size(), value);
    }
    return text;
  }
  Program read() const {
    const std::string text = json();
    return read_program(std::as_bytes(std::span(text)), "m.json");
  }
  std::string error(Errc code) const {
    return error_of(code, [&] { read(); });
  }
};

const Argument& argument_of(const Program& program) {
  return *program.graph.nodes[0].find("other");
}

Program with_argument(const std::string& json) {
  Source source;
  source["argument"] = json;
  return source.read();
}

TEST(Pt2Program, ReadsNodesAndTheirTypes) {
  const Program program = Source().read();
  EXPECT_EQ(program.torch_version, "2.15.0");
  EXPECT_EQ(program.schema_minor, 20);
  EXPECT_EQ(program.verifiers, std::vector<std::string_view>{"ATEN"});
  ASSERT_EQ(program.graph.nodes.size(), 1u);
  const Node& node = program.graph.nodes[0];
  EXPECT_EQ(node.target, "torch.ops.a.b");
  EXPECT_EQ(node.name, "y");
  EXPECT_EQ(module_path(node.nn_module_stack), "layers.0");
  EXPECT_EQ(std::get<TensorName>(*node.find("self")).name, "x");
  EXPECT_EQ(std::get<int64_t>(*node.find("other")), 1);
  EXPECT_EQ(node.find("none"), nullptr);
  EXPECT_EQ(std::get<TensorName>(node.outputs[0]).name, "y");
  const TensorMeta* meta = program.graph.find_tensor("x");
  ASSERT_NE(meta, nullptr);
  EXPECT_EQ(meta->scalar_type, 7);
  EXPECT_EQ(meta->device, "cpu");
  EXPECT_EQ(to_string(*meta->sizes[0].expr), "s0");
  EXPECT_EQ(meta->sizes[0].value, 5);
  EXPECT_FALSE(meta->sizes[1].is_symbolic());
  EXPECT_EQ(meta->sizes[1].value, 3);
  EXPECT_EQ(program.graph.find_tensor("z"), nullptr);
  EXPECT_TRUE(program.graph.is_single_tensor_return);
}

TEST(Pt2Program, ReadsSymbolsAndRanges) {
  const Program program = Source().read();
  ASSERT_EQ(program.symbols.size(), 1u);
  EXPECT_EQ(program.symbols[0].name, "s0");
  EXPECT_EQ(program.symbols[0].min, 2);
  EXPECT_FALSE(program.symbols[0].max);
  EXPECT_EQ(program.symbols[0].hint, 5);
  ASSERT_EQ(program.range_constraints.size(), 2u);
  EXPECT_EQ(to_string(*program.range_constraints[1].expr), "2*s0");
  EXPECT_EQ(program.range_constraints[1].max, 8);
}

TEST(Pt2Program, ReadsEverySimpleArgument) {
  const auto get = [](const std::string& json) { return with_argument(json); };
  const auto as = [&]<class T>(const std::string& json, T) {
    return std::get<T>(argument_of(get(json)));
  };
  EXPECT_EQ(as(R"({"as_int": 9223372036854775807})", int64_t{}), INT64_MAX);
  EXPECT_EQ(as(R"({"as_float": 0.5})", double{}), 0.5);
  EXPECT_EQ(as(R"({"as_float": "-Infinity"})", double{}), -INFINITY);
  EXPECT_EQ(as(R"({"as_bool": true})", bool{}), true);
  EXPECT_TRUE(std::holds_alternative<None>(argument_of(get(R"({"as_none": true})"))));
  EXPECT_EQ(as(R"({"as_scalar_type": 13})", ScalarType{}).number, 13);
  EXPECT_EQ(as(R"({"as_memory_format": 2})", MemoryFormat{}).number, 2);
  EXPECT_EQ(as(R"({"as_layout": 7})", Layout{}).number, 7);
  EXPECT_EQ(as(R"({"as_complex": {"real": 1.5, "imag": -2}})", Complex{}).imag, -2);
  const Program device = get(R"({"as_device": {"type": "cuda", "index": 1}})");
  EXPECT_EQ(std::get<Device>(argument_of(device)).type, "cuda");
  EXPECT_EQ(std::get<Device>(argument_of(device)).index, 1);
  EXPECT_FALSE(as(R"({"as_device": {"type": "cpu", "index": null}})", Device{}).index);
  const Program text = get(R"({"as_string": "sum"})");
  EXPECT_EQ(std::get<std::string_view>(argument_of(text)), "sum");
  const Program name = get(R"({"as_operator": "add"})");
  EXPECT_EQ(std::get<OperatorName>(argument_of(name)).name, "add");
  const Program object = get(R"({"as_custom_obj": {"name": "o", "class_fqn": "C"}})");
  EXPECT_EQ(std::get<CustomObject>(argument_of(object)).class_name, "C");
}

TEST(Pt2Program, ReadsEveryListArgument) {
  const Program ints = with_argument(R"({"as_ints": [1, -2]})");
  EXPECT_EQ(std::get<List<int64_t>>(argument_of(ints))[1], -2);
  const Program doubles = with_argument(R"({"as_floats": [1.5, "NaN"]})");
  EXPECT_TRUE(std::isnan(std::get<List<double>>(argument_of(doubles))[1]));
  const Program bools = with_argument(R"({"as_bools": [false, true]})");
  EXPECT_TRUE(std::get<List<bool>>(argument_of(bools))[1]);
  const Program texts = with_argument(R"({"as_strings": ["a", "b"]})");
  EXPECT_EQ(std::get<List<std::string_view>>(argument_of(texts))[1], "b");
  const Program int_lists = with_argument(R"({"as_int_lists": [[1], [2, 3]]})");
  EXPECT_EQ(std::get<List<List<int64_t>>>(argument_of(int_lists))[1][1], 3);
  const Program float_lists = with_argument(R"({"as_float_lists": [[1], []]})");
  EXPECT_TRUE(std::get<List<List<double>>>(argument_of(float_lists))[1].empty());
  const Program empty = with_argument(R"({"as_ints": []})");
  EXPECT_TRUE(std::get<List<int64_t>>(argument_of(empty)).empty());
}

TEST(Pt2Program, ReadsEveryTensorArgument) {
  const Program list = with_argument(R"({"as_tensors": [{"name": "a"}, {"name": "b"}]})");
  EXPECT_EQ(std::get<TensorNames>(argument_of(list)).names[1], "b");
  const Program optional = with_argument(
      R"({"as_optional_tensors": [{"as_none": true}, {"as_tensor": {"name": "b"}}]})");
  EXPECT_EQ(std::get<TensorNames>(argument_of(optional)).names[0], "");
  EXPECT_EQ(std::get<TensorNames>(argument_of(optional)).names[1], "b");
  const Program given = with_argument(R"({"as_optional_tensor": {"as_tensor": {"name": "b"}}})");
  EXPECT_EQ(std::get<TensorName>(argument_of(given)).name, "b");
  const Program none = with_argument(R"({"as_optional_tensor": {"as_none": true}})");
  EXPECT_TRUE(std::holds_alternative<None>(argument_of(none)));
  const Program nested = with_argument(R"({"as_nested_tensors": [[{"name": "a"}], []]})");
  EXPECT_EQ(std::get<NestedTensors>(argument_of(nested)).lists[0].names[0], "a");
}

TEST(Pt2Program, ReadsEverySymbolicArgument) {
  const Program one = with_argument(R"({"as_sym_int": {"as_name": "n"}})");
  EXPECT_EQ(std::get<SymRef<int64_t>>(argument_of(one)).name, "n");
  const Program mixed = with_argument(R"({"as_sym_ints": [{"as_name": "n"}, {"as_int": -1}]})");
  const auto list = std::get<List<SymRef<int64_t>>>(argument_of(mixed));
  EXPECT_EQ(list[0].name, "n");
  EXPECT_EQ(list[1].name, "");
  EXPECT_EQ(list[1].value, -1);
  const Program flag = with_argument(R"({"as_sym_bool": {"as_bool": true}})");
  EXPECT_TRUE(std::get<SymRef<bool>>(argument_of(flag)).value);
  const Program flags = with_argument(R"({"as_sym_bools": [{"as_name": "b"}]})");
  EXPECT_EQ(std::get<List<SymRef<bool>>>(argument_of(flags))[0].name, "b");
  const Program number = with_argument(R"({"as_sym_float": {"as_float": 2.5}})");
  EXPECT_EQ(std::get<SymRef<double>>(argument_of(number)).value, 2.5);
  const Program numbers = with_argument(R"({"as_sym_floats": [{"as_name": "f"}]})");
  EXPECT_EQ(std::get<List<SymRef<double>>>(argument_of(numbers))[0].name, "f");
}

TEST(Pt2Program, ReadsSubGraphsAndMaps) {
  const Program graph = with_argument(
      R"({"as_graph": {"name": "g", "graph": {"inputs": [{"as_tensor": {"name": "a"}}],
          "outputs": [], "nodes": [], "tensor_values": {}, "sym_int_values": {}}}})");
  const SubGraph& inner = std::get<SubGraph>(argument_of(graph));
  EXPECT_EQ(inner.name, "g");
  EXPECT_EQ(std::get<TensorName>(inner.graph->inputs[0]).name, "a");
  const Program map = with_argument(R"({"as_string_to_argument": {"k": {"as_int": 4}}})");
  const ArgumentMap& entries = std::get<ArgumentMap>(argument_of(map));
  ASSERT_EQ(entries.count, 1u);
  EXPECT_EQ(entries.begin->name, "k");
  EXPECT_EQ(std::get<int64_t>(entries.begin->value), 4);
}

TEST(Pt2Program, KeepsAnUnknownTagForWhoNeedsIt) {
  const Program program = with_argument(R"({"as_future": [1]})");
  EXPECT_EQ(std::get<Unknown>(argument_of(program)).tag, "as_future");
}

TEST(Pt2Program, ReadsSymIntValues) {
  Source source;
  source["sym_ints"] = R"({"n": {"as_expr": {"expr_str": "nonsense ((", "hint": null}},
                        "a": {"as_int": 4}})";
  const Program program = source.read();
  EXPECT_EQ(program.graph.find_sym_int("a")->value, 4);
  EXPECT_EQ(program.graph.find_sym_int("n")->expr->kind, Expr::Kind::other);
  EXPECT_EQ(program.graph.find_sym_int("n")->expr->name, "nonsense ((");
  EXPECT_FALSE(program.graph.find_sym_int("n")->value);
}

TEST(Pt2Program, ReadsEveryInputSpec) {
  Source source;
  source["inputs"] = R"([{"as_tensor": {"name": "p"}}, {"as_tensor": {"name": "b"}},
      {"as_tensor": {"name": "c"}}, {"as_custom_obj": {"name": "o", "class_fqn": "C"}},
      {"as_tensor": {"name": "t"}}, {"as_tensor": {"name": "x"}}, {"as_float": 0.5}])";
  source["input_specs"] = R"([{"parameter": {"arg": {"name": "p"}, "parameter_name": "m.p"}},
      {"buffer": {"arg": {"name": "b"}, "buffer_name": "m.b", "persistent": true}},
      {"tensor_constant": {"arg": {"name": "c"}, "tensor_constant_name": "m.c"}},
      {"custom_obj": {"arg": {"name": "o", "class_fqn": "C"}, "custom_obj_name": "m.o"}},
      {"token": {"arg": {"name": "t"}}},
      {"user_input": {"arg": {"as_tensor": {"name": "x"}}}},
      {"constant_input": {"name": "scale", "value": {"as_float": 0.5}}}])";
  const Program program = source.read();
  using Kind = InputSpec::Kind;
  const Kind kinds[] = {Kind::parameter, Kind::buffer,     Kind::tensor_constant, Kind::custom_obj,
                        Kind::token,     Kind::user_input, Kind::constant_input};
  ASSERT_EQ(program.inputs.size(), 7u);
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(program.inputs[i].kind, kinds[i]) << i;
  EXPECT_EQ(program.inputs[0].target, "m.p");
  EXPECT_TRUE(program.inputs[1].persistent);
  EXPECT_EQ(program.inputs[3].target, "m.o");
  ASSERT_EQ(program.user_inputs.size(), 2u);
  EXPECT_EQ(program.user_inputs[1].index, 6u);
  EXPECT_EQ(program.user_inputs[1].name, "scale");
  EXPECT_EQ(std::get<double>(program.user_inputs[1].value), 0.5);
}

TEST(Pt2Program, RefusesSignaturesThatContradictTheGraph) {
  Source source;
  source["input_specs"] = R"([{"user_input": {"arg": {"as_tensor": {"name": "z"}}}}])";
  EXPECT_NE(source.error(Errc::corrupt)
                .find("input_specs[0]: is for z, but that input of the graph is x"),
            std::string::npos);
  source["input_specs"] = "[]";
  EXPECT_NE(source.error(Errc::corrupt).find("has 0 items; the graph has 1"), std::string::npos);
  source = {};
  source["output_specs"] = R"([{"buffer_mutation": {"arg": {"name": "z"}, "buffer_name": "b"}}])";
  EXPECT_NE(source.error(Errc::corrupt).find("is for z, but that output of the graph is y"),
            std::string::npos);
  source["output_specs"] = R"([{"new_kind": {}}])";
  EXPECT_EQ(source.error(Errc::unsupported),
            "m.json: graph_module.signature.output_specs[0]: is a new_kind, which is not known");
}

TEST(Pt2Program, RefusesOtherMajorSchemasAndWarnsOfNewerMinorOnes) {
  Source source;
  source["version"] = R"({"major": 9, "minor": 0})";
  EXPECT_EQ(source.error(Errc::unsupported),
            "m.json: schema_version: is schema 9.0 of PyTorch 2.15.0; 8 can be read");
  std::string warning;
  set_log(LogLevel::warning, [&](LogLevel, std::string_view text) { warning = text; });
  source["version"] = R"({"major": 8, "minor": 20})";
  source.read();
  EXPECT_EQ(warning, "");
  source["version"] = R"({"major": 8, "minor": 21})";
  source.read();
  EXPECT_NE(warning.find("m.json: has schema 8.21"), std::string::npos);
  set_log(LogLevel::off, nullptr);
}

TEST(Pt2Program, NamesThePlaceOfAFault) {
  EXPECT_EQ(
      error_of(Errc::corrupt, [] { with_argument(R"({"as_int": "1"})"); }),
      "m.json: graph_module.graph.nodes[0].inputs[1].arg.as_int: is no whole number of 64 bits");
  EXPECT_NE(error_of(Errc::corrupt, [] { with_argument("{}"); }).find("is an empty object"),
            std::string::npos);
  EXPECT_NE(error_of(Errc::corrupt, [] { with_argument(R"({"as_int": 1, "as_bool": true})"); })
                .find("has more tags than as_int"),
            std::string::npos);
}

TEST(Pt2Program, AnyDamageIsAnErrorOrHarmless) {
  Source source;
  set_log(LogLevel::off, nullptr);
  source["argument"] = R"({"as_sym_ints": [{"as_name": "n"}, {"as_int": -1}]})";
  damage_everywhere(source.json(), [](const std::string& damaged) {
    read_program(std::as_bytes(std::span(damaged)), "m.json");
  });
}

TEST(ModulePath, TakesThePathOfTheInnermostModule) {
  EXPECT_EQ(module_path("L__self__,,M.Net"), "");
  EXPECT_EQ(module_path("L__self__,,M.Net;L__self___layers_0,layers.0,M.Layer"), "layers.0");
  EXPECT_EQ(module_path("a,layers.slice(1, None, None),M.Layer"), "layers.slice(1, None, None)");
  EXPECT_EQ(module_path("a,layers.0@1,M.Layer"), "layers.0");
  EXPECT_EQ(module_path(""), "");
  EXPECT_EQ(module_path("no commas"), "");
}

Program read_model(const std::string& name) {
  return read_program(Pt2Archive(MappedFile::open(test_model(name))));
}

std::string names(const std::vector<UserValue>& values) {
  std::vector<std::string> names;
  for (const UserValue& value : values) names.push_back(value.name);
  return join_list(names);
}

TEST(Pt2ProgramFixtures, NestedInputsAndOutputsHaveTheirPaths) {
  const Program program = read_model("versions/nested.pt2");
  EXPECT_EQ(
      names(program.user_inputs),
      "batch_a, batch_list_0, batch_list_1, pair_0, pair_1, scale, mask, unused, mode, flag, n");
  EXPECT_EQ(program.user_inputs[1].path, "batch.list.0");
  EXPECT_EQ(std::get<std::string_view>(program.user_inputs[8].value), "add");
  EXPECT_EQ(
      names(program.user_outputs),
      "out.0.y, out.0.parts.0, out.0.parts.1.deep, out.0.none, out.0.const, out.0.same, out.1");
  EXPECT_EQ(std::get<TensorName>(program.user_outputs[5].value).name, "pair_1");
  EXPECT_EQ(std::get<int64_t>(program.user_outputs[4].value), 7);
  EXPECT_TRUE(std::holds_alternative<None>(program.user_outputs[3].value));
}

TEST(Pt2ProgramFixtures, MutationsComeBeforeUserOutputs) {
  const Program program = read_model("versions/kv_cache_functional.pt2");
  ASSERT_EQ(program.outputs.size(), 5u);
  std::set<std::string_view> buffers;
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(program.outputs[i].kind, OutputSpec::Kind::buffer_mutation);
    buffers.insert(program.outputs[i].target);
  }
  EXPECT_EQ(buffers, (std::set<std::string_view>{"k", "seen", "v"}));
  EXPECT_EQ(names(program.user_outputs), "out.0, out.1");
  EXPECT_EQ(program.user_outputs[0].index, 3u);
}

TEST(Pt2ProgramFixtures, DerivedSizesAreExpressions) {
  const Program program = read_model("versions/dynamic.pt2");
  ASSERT_EQ(program.symbols.size(), 2u);
  EXPECT_EQ(program.symbols[1].name, "s27");
  EXPECT_EQ(program.symbols[1].min, 3);
  EXPECT_EQ(program.symbols[1].max, 64);
  EXPECT_EQ(program.symbols[1].hint, 10);
  EXPECT_EQ(to_string(*program.graph.find_tensor("y")->sizes[1].expr), "2*s27");
  EXPECT_EQ(program.range_constraints.size(), 3u);
}

TEST(Pt2ProgramFixtures, OlderProgramsHaveSubGraphs) {
  const ZipArchive zip(MappedFile::open(test_model("versions/llama_torch28.pt2")));
  const Program program =
      read_program(zip.bytes(*zip.find("llama_torch28/models/model.json")), "model.json");
  const Node* wrapped = nullptr;
  for (const Node& node : program.graph.nodes)
    if (node.target == "torch.ops.higher_order.wrap_with_autocast") wrapped = &node;
  ASSERT_NE(wrapped, nullptr);
  const SubGraph& inner = std::get<SubGraph>(wrapped->inputs[4].value);
  EXPECT_EQ(inner.name, "submod_1");
  EXPECT_EQ(inner.graph->inputs.size(), 2u);
  EXPECT_EQ(inner.graph->outputs.size(), 2u);
  EXPECT_NE(inner.graph->find_tensor("matmul"), nullptr);
}

TEST(Pt2ProgramFixtures, AGraphOfFullSizeIsReadWhole) {
  const Program program = read_model("flux_dev_graph.pt2");
  EXPECT_EQ(program.graph.nodes.size(), 5501u);
  EXPECT_EQ(names(program.user_outputs), "out.0");
}

TEST(Pt2ProgramFixtures, NoFixtureHasAnythingUnknown) {
  for (const char* name :
       {"clip_text", "flux", "flux_bf16", "flux_uneven", "gpt2", "llama", "t5_encoder",
        "vae_decoder", "versions/dynamic", "versions/kv_cache", "versions/llama_decomposed",
        "versions/llama_torch215", "versions/tied", "flux_tiny/graphs/transformer_dynamic",
        "flux_tiny/graphs/vae_decoder_dynamic"}) {
    const Program program = read_model(join(name, ".pt2"));
    for (const Node& node : program.graph.nodes)
      for (const NamedArgument& input : node.inputs)
        EXPECT_FALSE(std::holds_alternative<Unknown>(input.value)) << name << ": " << node.target;
    for (const auto& [tensor, meta] : program.graph.tensor_values)
      for (const SymInt& size : meta.sizes)
        EXPECT_TRUE(!size.is_symbolic() || size.expr->kind != Expr::Kind::other) << name;
  }
}

}  // namespace
}  // namespace tutti::pt2
