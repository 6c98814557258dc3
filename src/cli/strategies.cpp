// SPDX-License-Identifier: Apache-2.0
#include "cli/strategies.h"

#include <algorithm>

#include "cli/arguments.h"

namespace tutti::cli {
namespace {

// A mesh for n ranks, which are a times b where there are two axes.
struct Recipe {
  const char* name;
  bool two_axes;
  const char *mesh, *context;  // with N, A and B for the numbers
};

constexpr Recipe kRecipes[] = {
    {"tp", false, "tp=N", ""},
    {"cp:ulysses", false, "cp=N", "ulysses"},
    {"cp:ring", false, "cp=N", "ring"},
    {"cp:gather_kv", false, "cp=N", "gather_kv"},
    {"dp", false, "dp=N", ""},
    {"cp:ulysses+ring", true, "cp=N", "ulysses:A,ring:B"},
    {"tp+cp:ulysses", true, "tp=A,cp=B", "ulysses"},
    {"tp+cp:ring", true, "tp=A,cp=B", "ring"},
    {"dp+tp", true, "dp=A,tp=B", ""},
};

std::string with_numbers(const char* text, int n, int a) {
  std::string out;
  for (const char* c = text; *c != '\0'; ++c) {
    const int number = *c == 'N' ? n : *c == 'A' ? a : *c == 'B' ? n / a : 0;
    out += number != 0 ? std::to_string(number) : std::string(1, *c);
  }
  return out;
}

int smallest_factor(int n) {
  for (int a = 2; a * a <= n; ++a)
    if (n % a == 0) return a;
  return n;
}

}  // namespace

std::vector<StrategyChoice> strategies_on(int ranks, const std::vector<std::string>& names) {
  std::string known = "all";
  for (const Recipe& recipe : kRecipes) known += std::string(", ") + recipe.name;
  for (const std::string& name : names)
    if (name != "all" && std::none_of(std::begin(kRecipes), std::end(kRecipes),
                                      [&](const Recipe& recipe) { return name == recipe.name; }))
      throw UsageError("strategy " + name + " is not known; there are: " + known);
  if (ranks == 1) return {{"one rank", 1, "", ""}};
  const int a = smallest_factor(ranks);
  std::vector<StrategyChoice> choices;
  for (const Recipe& recipe : kRecipes) {
    const bool wanted = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return name == "all" || name == recipe.name;
    });
    if (wanted && (!recipe.two_axes || a < ranks))
      choices.push_back({recipe.name, ranks, with_numbers(recipe.mesh, ranks, a),
                         with_numbers(recipe.context, ranks, a)});
  }
  return choices;
}

}  // namespace tutti::cli
