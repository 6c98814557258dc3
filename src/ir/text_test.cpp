// SPDX-License-Identifier: Apache-2.0
#include "ir/text.h"

#include <gtest/gtest.h>

#include <random>

#include "ir/ops_for_tests.h"
#include "ir/verify.h"

namespace tutti {
namespace {

const char* const kText = R"graph(tutti.graph 1
symbol s0 in 2..128
symbol s1 in 0..inf
constraint range(s0 + s1, 3, 200) "sum"
constraint divisible(s0*s1, 8) "view, \x22of\x22 (blocks.0)"
constraint equal(s1, ((s0 + 1)//(2))) ""
bound @model.w : f32[2, s0]
derived @packed : bf16[2, 2]
carried @"past keys" : f32[2, s0]

function init() {
  %source_0 : bf16[2, 2] = source(flag=true, integer=-3, number=-inf, text="a, b) \x5c\x0a", dtype=bf16, dim=min(s0, s1), shape=[2, 2], integers=[1, 2], numbers=[0.1, 1e+20], maybe=none, tensor=i16[2]:0100ff7f)
  update @packed = %source_0
}

function run(%x : f32[2, s0], %"in put" : i64[]) {
  %join_0 : f32[2, s0] = join(%x, @model.w) scope="blocks.0.attn"
  %copies_1 : f32[2, s0], %copies_2 : f32[2, s0] = copies(%join_0, count=2)
  copies(%x, count=0)
  update @"past keys" = %copies_2
  output logits = %copies_1
  output "the weight" = @model.w
  output mask = none
}
)graph";

TEST(GraphText, PrintsWhatItParsed) {
  EXPECT_EQ(print_graph(parse_graph(kText, test_ops::make_op)), kText);
}

TEST(GraphText, ParsesEveryPart) {
  const Graph graph = parse_graph(kText, test_ops::make_op);
  EXPECT_EQ(graph.symbols.at("s0").max, 128);
  EXPECT_EQ(graph.symbols.at("s1").max, INT64_MAX);
  EXPECT_EQ(graph.constraints[1].origin, "view, \"of\" (blocks.0)");
  EXPECT_EQ(graph.constraints[0].max, 200);
  EXPECT_EQ(graph.residents[2].name, "past keys");
  EXPECT_EQ(graph.residents[2].kind, Resident::Kind::carried);
  const auto* source = graph.function("init").nodes[0].op.as<test_ops::Source>();
  ASSERT_NE(source, nullptr);
  EXPECT_EQ(source->text, "a, b) \\\n");
  EXPECT_EQ(source->dim, min(Dim::symbol("s0"), Dim::symbol("s1")));
  EXPECT_EQ(source->tensor.as<int16_t>()[1], 32767);
  const Function& run = graph.function("run");
  EXPECT_EQ(run.value(run.inputs[1]).name, "in put");
  EXPECT_EQ(run.nodes[0].scope, "blocks.0.attn");
  EXPECT_EQ(run.value(run.nodes[0].inputs[1]).resident, 0);
  EXPECT_EQ(run.nodes[1].outputs.size(), 2u);
  EXPECT_EQ(run.outputs[2].value, kNone);
}

TEST(GraphText, IgnoresCommentsAndBlanks) {
  const Graph graph = parse_graph(
      "# a\n tutti.graph 1#b\n\nfunction f (\n%x:f32[ 2 ] ) {\r\n\toutput y=%x # c\n} #",
      test_ops::make_op);
  EXPECT_EQ(print_graph(graph), "tutti.graph 1\n\nfunction f(%x : f32[2]) {\n  output y = %x\n}\n");
}

TEST(GraphText, NamesMadeAfterParsingAreNew) {
  Graph graph = parse_graph(kText, test_ops::make_op);
  Function& run = graph.function("run");
  run.outputs[0].value = run.add1(test_ops::Join{}, {run.inputs[0]}, "copies");
  verify(graph);
}

TEST(GraphText, CutsLongAttributesOnDemand) {
  Graph graph;
  Function& f = graph.functions.emplace_back();
  f.name = "f";
  test_ops::Source source;
  source.tensor = Tensor::zeros(DType::f32, {1000});
  f.outputs = {{"y", f.add1(source, {})}};
  EXPECT_LT(print_graph(graph, 40).size(), 400u);
}

// The text with its first `from` replaced, and what the refusal says.
std::string refusal(std::string_view from, std::string_view to) {
  std::string text = kText;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  text.replace(at, from.size(), to);
  try {
    parse_graph(text, test_ops::make_op);
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(GraphText, ErrorsSayWhereFoundAndWanted) {
  EXPECT_EQ(refusal("s0 in 2", "s0 in two"),
            "graph text, line 2, column 14: found 'two..128'; an integer of 64 bits is wanted");
  EXPECT_EQ(refusal("join(%x, @model.w)", "join(%x, @model.v)"),
            "graph text, line 17, column 36: found 'model.v) scope=\"blocks.0.attn\"'; a resident "
            "declared before is wanted");
  EXPECT_EQ(
      refusal("%copies_2 : f32[2, s0] =", "%copies_2 : f32[2, s1] ="),
      "graph text, line 18, column 52: copies: %copies_2 is f32[2, s1]; f32[2, s0] is wanted");
  EXPECT_EQ(refusal("output mask = none", "output mask = "),
            "graph text, line 24, column 1: found '}'; '%' is wanted");
}

TEST(GraphText, RefusesWhatIsNoGraph) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"tutti.graph 1", "tutti.graph 2"},
      {"tutti.graph", "graph"},
      {"symbol s1", "symbol s0"},
      {"range(", "ranges("},
      {"@packed :", "@model.w :"},
      {"bound @", "bind @"},
      {"bf16[2, 2]", "bf17[2, 2]"},
      {"bf16[2, 2]", "bf16[2, 2"},
      {"bf16[2, 2]", "bf16[2, +]"},
      {"f32[2, s0] =", "f32[2, s9] ="},
      {"maybe=none", "maybe=few"},
      {"flag=true", "flag=true, flag=true"},
      {"flag=true", "flags=true"},
      {"join(", "unite("},
      {"copies(%join_0", "copies(%copies_1"},
      {"%copies_2 :", "%copies_1 :"},
      {"scope=\"", "scope="},
      {"\"the weight\"", "logits"},

      {"none\n}", "none\n"},
      {"count=0)", "count=0"},
      {"i16[2]:0100ff7f", "i16[2]:0100ff7"},
  };
  for (const auto& [from, to] : cases) {
    EXPECT_NE(refusal(from, to), "accepted") << from << " -> " << to;
  }
}

TEST(GraphText, EveryPrefixIsRefusedWithoutHarm) {
  const std::string text = kText;
  for (size_t n = 0; n + 2 < text.size(); ++n) {
    try {
      parse_graph(text.substr(0, n), test_ops::make_op);
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("graph text"), std::string::npos) << error.what();
    }
  }
}

TEST(GraphText, RandomDamageIsRefusedOrRead) {
  std::mt19937 random(5);
  const std::string alphabet = "()[]{}%@,=:\"\\#\n -+*/0129sxf.\x80";
  int accepted = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = kText;
    for (int i = 0; i < 3; ++i) {
      const size_t at = random() % text.size();
      const char c = alphabet[random() % alphabet.size()];
      switch (random() % 3) {
        case 0:
          text[at] = c;
          break;
        case 1:
          text.insert(at, random() % 20, c);
          break;
        default:
          text.erase(at, random() % 20);
      }
    }
    try {
      const Graph graph = parse_graph(text, test_ops::make_op);
      const std::string printed = print_graph(graph);
      EXPECT_EQ(print_graph(parse_graph(printed, test_ops::make_op)), printed);
      ++accepted;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(accepted, 0);
}

TEST(GraphText, LongLinesTakeTimeInProportion) {
  std::string text = "tutti.graph 1\nfunction f(%x0 : f32[1]";
  for (int i = 1; i < 50000; ++i) text += join(", %x", i, " : f32[1]");
  text += ") {\n}\n" + std::string(100000, '(');
  EXPECT_THROW(parse_graph(text, test_ops::make_op), Error);
}

// ---- random graphs -------------------------------------------------------------------------

class RandomGraph {
 public:
  explicit RandomGraph(uint32_t seed) : random_(seed) {}

  Graph make() {
    graph_.symbols["s0"] = {0, pick(100)};
    graph_.symbols["n_1"] = {-pick(5), INT64_MAX};
    for (int64_t i = pick(4); i-- > 0;)
      graph_.constraints.push_back(
          {static_cast<Constraint::Kind>(1 + pick(2)), dim(), 0, INT64_MAX, dim(), name("c")});
    for (int64_t i = pick(4); i-- > 0;)
      graph_.add_resident({name("r"), type(), static_cast<Resident::Kind>(pick(3)), {}});
    for (int64_t i = pick(3); i-- > 0;) add_function();
    return std::move(graph_);
  }

 private:
  int64_t pick(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  std::string name(std::string_view hint) {
    const std::string odd = "a.\"\\ \n)%,#=\xc3\xa9";
    std::string text(hint);
    for (int64_t i = pick(4); i-- > 0;) text += odd[static_cast<size_t>(pick(12))];
    return join(text, "|", ++names_);
  }
  Dim dim() {
    const Dim a = Dim::symbol("s0"), b = Dim::symbol("n_1");
    const Dim choices[] = {pick(9),
                           a,
                           b,
                           a * 2 + 1,
                           floor_div(a * b - 3, 4),
                           mod(a, b + 7),
                           min(a, b) * max(a, 3) - b};
    return choices[pick(7)];
  }
  TensorType type() {
    TensorType t{static_cast<DType>(pick(kDTypeCount)), {}};
    for (int64_t i = pick(4); i-- > 0;) t.shape.push_back(dim());
    return t;
  }
  Op source() {
    test_ops::Source op;
    op.flag = pick(2);
    op.integer = static_cast<int64_t>(random_()) - INT64_C(0x7fffffff) * pick(2);
    op.number = std::ldexp(static_cast<double>(random_()), static_cast<int>(pick(200)) - 100);
    op.text = name("t");
    op.dim = dim();
    const TensorType t = type();
    op.dtype = t.dtype;
    op.shape = t.shape;
    for (int64_t i = pick(3); i-- > 0;) op.integers.push_back(pick(1000) - 500);
    for (int64_t i = pick(3); i-- > 0;) op.numbers.push_back(static_cast<double>(pick(1000)) / 7);
    if (pick(2)) op.maybe = pick(10);
    op.tensor = Tensor::zeros(DType::u8, {pick(3), pick(3)});
    for (int64_t i = 0; i < op.tensor.elements(); ++i)
      op.tensor.as<uint8_t>()[i] = static_cast<uint8_t>(pick(256));
    return op;
  }
  void add_function() {
    Function& f = graph_.functions.emplace_back();
    f.name = name("f");
    for (int64_t i = pick(4); i-- > 0;) f.add_input(name("x"), type());
    for (int64_t i = pick(12); i-- > 0;) {
      const bool leaf = f.values.empty() || pick(4) == 0;
      ValueId from = leaf ? kNone : static_cast<ValueId>(pick(f.values.size()));
      if (!leaf && pick(4) == 0 && !graph_.residents.empty()) {
        const auto r = static_cast<ResidentId>(pick(graph_.residents.size()));
        from = f.read(r, graph_.residents[r].name, graph_.residents[r].type);
      }
      const std::string scope = pick(2) ? name("scope") : "";
      if (leaf)
        f.add(source(), {}, name("v"), scope);
      else if (pick(2))
        f.add(test_ops::Join{}, {from, from}, "join", scope);
      else
        f.add(test_ops::Copies{pick(3)}, {from}, {}, scope);
    }
    for (size_t i = 0; i < f.values.size(); ++i)
      if (pick(3) == 0) f.outputs.push_back({name("y"), static_cast<ValueId>(i)});
    f.outputs.push_back({name("y"), kNone});
    for (size_t r = 0; r < graph_.residents.size(); ++r)
      for (size_t v = 0; v < f.values.size(); ++v)
        if (graph_.residents[r].kind != Resident::Kind::bound &&
            f.values[v].type == graph_.residents[r].type) {
          f.updates.push_back({static_cast<ResidentId>(r), static_cast<ValueId>(v)});
          break;
        }
  }

  std::mt19937 random_;
  Graph graph_;
  int names_ = 0;
};

// What a value is, whatever its id: its name, and its resident.
using Identity = std::tuple<std::string, ResidentId, std::string>;

Identity identity(const Function& f, ValueId id) {
  if (id == kNone) return {};
  return {f.value(id).name, f.value(id).resident, to_string(f.type(id))};
}
std::vector<Identity> identities(const Function& f, const std::vector<ValueId>& ids) {
  std::vector<Identity> list;
  for (ValueId id : ids) list.push_back(identity(f, id));
  return list;
}

void expect_equal(const Function& a, const Function& b) {
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(identities(a, a.inputs), identities(b, b.inputs));
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (size_t n = 0; n < a.nodes.size(); ++n) {
    EXPECT_EQ(a.nodes[n].op, b.nodes[n].op);
    EXPECT_EQ(a.nodes[n].scope, b.nodes[n].scope);
    EXPECT_EQ(identities(a, a.nodes[n].inputs), identities(b, b.nodes[n].inputs));
    EXPECT_EQ(identities(a, a.nodes[n].outputs), identities(b, b.nodes[n].outputs));
  }
  ASSERT_EQ(a.outputs.size(), b.outputs.size());
  for (size_t i = 0; i < a.outputs.size(); ++i) {
    EXPECT_EQ(a.outputs[i].name, b.outputs[i].name);
    EXPECT_EQ(identity(a, a.outputs[i].value), identity(b, b.outputs[i].value));
  }
  ASSERT_EQ(a.updates.size(), b.updates.size());
  for (size_t i = 0; i < a.updates.size(); ++i) {
    EXPECT_EQ(a.updates[i].resident, b.updates[i].resident);
    EXPECT_EQ(identity(a, a.updates[i].value), identity(b, b.updates[i].value));
  }
}

void expect_equal(const Graph& a, const Graph& b) {
  ASSERT_EQ(a.symbols.size(), b.symbols.size());
  for (const auto& [name, symbol] : a.symbols) {
    EXPECT_EQ(symbol.min, b.symbols.at(name).min);
    EXPECT_EQ(symbol.max, b.symbols.at(name).max);
  }
  ASSERT_EQ(a.constraints.size(), b.constraints.size());
  for (size_t i = 0; i < a.constraints.size(); ++i) {
    EXPECT_EQ(a.constraints[i].kind, b.constraints[i].kind);
    EXPECT_EQ(a.constraints[i].dim, b.constraints[i].dim);
    EXPECT_EQ(a.constraints[i].other, b.constraints[i].other);
    EXPECT_EQ(a.constraints[i].origin, b.constraints[i].origin);
  }
  ASSERT_EQ(a.residents.size(), b.residents.size());
  for (size_t i = 0; i < a.residents.size(); ++i) {
    EXPECT_EQ(a.residents[i].name, b.residents[i].name);
    EXPECT_EQ(a.residents[i].type, b.residents[i].type);
    EXPECT_EQ(a.residents[i].kind, b.residents[i].kind);
  }
  ASSERT_EQ(a.functions.size(), b.functions.size());
  for (size_t i = 0; i < a.functions.size(); ++i) expect_equal(a.functions[i], b.functions[i]);
}

TEST(GraphText, RandomGraphsComeBackEqual) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const Graph graph = RandomGraph(seed).make();
    verify(graph);
    const std::string text = print_graph(graph);
    const Graph back = parse_graph(text, test_ops::make_op);
    expect_equal(graph, back);
    EXPECT_EQ(print_graph(back), text);
    if (testing::Test::HasFailure()) FAIL() << "seed " << seed << "\n" << text;
  }
}

TEST(GraphDot, ShowsNodesLeavesAndResults) {
  const Graph graph = parse_graph(kText, test_ops::make_op);
  const std::string dot = to_dot(graph, graph.function("run"));
  for (const char* part :
       {"digraph \"run\"", "label=\"join\\nblocks.0.attn\"", "label=\"model.w\", shape=cylinder",
        "n0 -> n1 [label=\"f32[2, s0]\"]", "n1 -> o0", "label=\"past keys\", shape=cylinder"})
    EXPECT_NE(dot.find(part), std::string::npos) << part << " in\n" << dot;
}

}  // namespace
}  // namespace tutti
