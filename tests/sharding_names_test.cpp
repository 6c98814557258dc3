// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <tuple>

#include "core/test_data.h"
#include "import/pt2.h"
#include "shard/shard.h"

// Where values go follows from what a network computes, not from what its parts are called.
namespace tutti {
namespace {

std::vector<std::string> models() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(test_model("")))
    if (entry.path().extension() == ".pt2") names.push_back(entry.path().stem());
  std::sort(names.begin(), names.end());
  return names;
}

Function without_symbols(const Graph& graph) {
  SymbolValues symbols;
  for (const auto& [name, range] : graph.symbols) symbols.emplace(name, range.min);
  return specialize(graph.function("run"), symbols);
}

// Values take each other's names, parameters and inputs too; scopes are cut off.
Function renamed(Function f) {
  std::vector<std::string> names;
  for (const Value& value : f.values) names.push_back(value.name);
  std::shuffle(names.begin(), names.end(), std::mt19937(1));
  for (size_t v = 0; v < names.size(); ++v) f.values[v].name = names[v];
  for (Output& output : f.outputs) output.name = "result";
  for (Node& node : f.nodes) node.scope.clear();
  return f;
}

bool same(const shard::Placements& a, const shard::Placements& b) {
  const auto facts = [](const shard::NodePlacement& p) {
    return std::tie(p.in, p.out, p.reduced_within, p.settled);
  };
  return a.values == b.values &&
         std::equal(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(),
                    [&](const auto& x, const auto& y) { return facts(x) == facts(y); });
}

class ShardingNames : public testing::TestWithParam<std::string> {};

TEST_P(ShardingNames, ChangeNothing) {
  Function f = without_symbols(import_pt2(test_model(GetParam()) + ".pt2"));
  Function other = renamed(f);
  for (const char* mesh : {"tp=2,cp=2", "dp=2,tp=2"}) {
    for (const char* context : {"ulysses", "ring"}) {
      const shard::Ways ways = shard::ways_of({shard::Mesh::parse(mesh), context});
      EXPECT_TRUE(same(shard::shard(f, ways), shard::shard(other, ways))) << mesh << " " << context;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ShardingNames, testing::ValuesIn(models()));

}  // namespace
}  // namespace tutti
