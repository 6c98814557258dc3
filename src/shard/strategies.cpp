// SPDX-License-Identifier: Apache-2.0
#include "shard/strategies.h"

namespace tutti::shard {
namespace {

struct WayAlongCp {
  std::string name, context;
};

std::vector<WayAlongCp> ways_along(int cp) {
  if (cp == 1) return {{"", ""}};
  std::vector<WayAlongCp> ways;
  for (const char* name : {"ulysses", "ring", "gather_kv"}) ways.push_back({name, name});
  for (int u = 2; u < cp; ++u)
    if (cp % u == 0)
      ways.push_back(
          {"ulysses+ring", "ulysses:" + std::to_string(u) + ",ring:" + std::to_string(cp / u)});
  return ways;
}

NamedStrategy strategy_of(int dp, int tp, int cp, const WayAlongCp& way) {
  std::vector<Mesh::Axis> axes;
  std::string name;
  const auto add = [&](const char* axis, int size, const std::string& suffix) {
    if (size == 1) return;
    axes.push_back({axis, size});
    name += (name.empty() ? "" : "+") + std::string(axis) + suffix;
  };
  add("dp", dp, "");
  add("tp", tp, "");
  add("cp", cp, ":" + way.name);
  return {name.empty() ? "one rank" : name, {Mesh(std::move(axes)), way.context}};
}

}  // namespace

std::vector<NamedStrategy> strategies(int ranks) {
  std::vector<NamedStrategy> all;
  for (int dp = 1; dp <= ranks; ++dp) {
    if (ranks % dp != 0) continue;
    for (int tp = 1; tp <= ranks / dp; ++tp) {
      if (ranks / dp % tp != 0) continue;
      const int cp = ranks / dp / tp;
      for (const WayAlongCp& way : ways_along(cp)) all.push_back(strategy_of(dp, tp, cp, way));
    }
  }
  return all;
}

}  // namespace tutti::shard
